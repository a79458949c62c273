"""Groups and owners of the assets, as Dagster's pages show them."""

ESSAY_GROUP = "essays"
BATCH_GROUP = "batches"
AUDIT_GROUP = "audit"
OWNERS = ["team:essay-intake"]
