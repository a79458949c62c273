"""Jobs over the assets: essays of a batch, its closing work, audits."""

from typing import TYPE_CHECKING

from dagster import AssetSelection, define_asset_job

from huleedu_dagster.assets.audit import AUDIT
from huleedu_dagster.assets.batches import MANIFEST, RELEASE, REPORT
from huleedu_dagster.assets.checks import essay_check_keys
from huleedu_dagster.assets.groups import OF_BATCHES, OF_DAYS, OF_ESSAYS, OWNED
from huleedu_dagster.domain.outcomes import Stage

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import (
        UnresolvedAssetJobDefinition,
    )

ESSAY_JOB = "process_essays"
CLOSING_JOB = "finalise_batch"
ESSAY_CHECK_JOB = "check_essays"
AUDIT_JOB = "audit_day"
_BEHIND_ALL = "-2"
"""Below every priority that sensors give: midnight in UTC is a school day's morning elsewhere."""

_ESSAYS = """Takes the pending essays of a batch through all four stages.

`upload_sensor` asks for it, one run for a batch: the run covers a range of cells and computes those
of its configuration, `ops: {essays: {config: {slots: [e001, …]}}}`; all of them when none is named.
With `force: true` it computes what is done already, and fails if anything comes out differently.

A file that is rejected does not fail the run. An essay that fails for reasons of infrastructure
fails it at the end, when the others are done; the sensor asks again, until it is a dead letter.
"""
_CLOSING = """Manifest, completeness check, release and report of a settled batch.

`batch_sensor` asks for it. The run of an incomplete batch is red by design: the check
`batch_is_complete` stops the release, and manifest and report are there all the same.
"""
_AUDIT = """The audit report of a day (UTC) and the check that its totals agree.

`daily_audit` asks for it when the day has ended. Any day can be run again: the report then holds
what the ledger says now.
"""
_CHECKS = """Checks stored essays: raw bytes intact, extraction reproducible.

`daily_essay_checks` asks for it, one run for each batch that was touched on the day. To check
others, choose their cells; nothing is changed, and a cell that is no essay is passed over.
"""


def build_jobs() -> list["UnresolvedAssetJobDefinition"]:
    """All jobs. Each has one kind of partition, which its runs have as a tag."""
    return [
        define_asset_job(
            ESSAY_JOB,
            selection=AssetSelection.assets(*(stage.value for stage in Stage)).without_checks(),
            description=_ESSAYS,
            metadata=OWNED,
            tags=OF_ESSAYS,
        ),
        define_asset_job(
            CLOSING_JOB,
            selection=AssetSelection.assets(MANIFEST, RELEASE, REPORT),
            description=_CLOSING,
            metadata=OWNED,
            tags=OF_BATCHES,
        ),
        define_asset_job(
            AUDIT_JOB,
            selection=AssetSelection.assets(AUDIT),
            description=_AUDIT,
            metadata=OWNED,
            tags=OF_DAYS,
        ),
        define_asset_job(
            ESSAY_CHECK_JOB,
            selection=AssetSelection.checks(*essay_check_keys()),
            description=_CHECKS,
            metadata=OWNED,
            tags={**OF_ESSAYS, "dagster/priority": _BEHIND_ALL},
        ),
    ]
