"""Groups, owners and tags of the definitions, as Dagster's pages show them."""

ESSAY_GROUP = "essays"
REGISTRATION_GROUP = "registration"
"""A group of its own: among the batches it would make the folded lineage a circle."""
BATCH_GROUP = "batches"
AUDIT_GROUP = "audit"
OWNERS = ["team:essay-intake"]
OWNED = {"owner": OWNERS[0]}
"""As metadata, of jobs, sensors and schedules: Dagster's own field for them is not stable yet."""
SCOPE_TAG = "huleedu/scope"
"""What one partition of an asset, or one run of a job, is about: an essay, a batch or a day."""
OF_ESSAYS = {SCOPE_TAG: "essay"}
OF_BATCHES = {SCOPE_TAG: "batch"}
OF_DAYS = {SCOPE_TAG: "day"}
