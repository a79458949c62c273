"""Jobs over the assets: essays of a batch, its closing work, audits."""

from typing import TYPE_CHECKING

from dagster import AssetSelection, define_asset_job

from huleedu_dagster.assets.audit import AUDIT
from huleedu_dagster.assets.batches import MANIFEST, RELEASE, REPORT
from huleedu_dagster.assets.checks import essay_check_keys
from huleedu_dagster.domain.outcomes import Stage

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

ESSAY_JOB = "process_essays"
CLOSING_JOB = "finalise_batch"
ESSAY_CHECK_JOB = "check_essays"
AUDIT_JOB = "audit_day"


def build_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """All jobs. Each has one kind of partition."""
    return [
        define_asset_job(
            ESSAY_JOB,
            selection=AssetSelection.assets(*(stage.value for stage in Stage)).without_checks(),
            description="Takes the pending essays of a batch through all four stages.",
        ),
        define_asset_job(
            CLOSING_JOB,
            selection=AssetSelection.assets(MANIFEST, RELEASE, REPORT),
            description="Manifest, completeness check, release and report of a settled batch.",
        ),
        define_asset_job(
            AUDIT_JOB,
            selection=AssetSelection.assets(AUDIT),
            description="The audit report of a day and the check that its totals agree.",
        ),
        define_asset_job(
            ESSAY_CHECK_JOB,
            selection=AssetSelection.checks(*essay_check_keys()),
            description="Checks stored essays: raw bytes intact, extraction reproducible.",
        ),
    ]
