"""Groups and owners of the assets, as Dagster's pages show them."""

ESSAY_GROUP = "essays"
REGISTRATION_GROUP = "registration"
"""A group of its own: among the batches it would make the folded lineage a circle."""
BATCH_GROUP = "batches"
AUDIT_GROUP = "audit"
OWNERS = ["team:essay-intake"]
