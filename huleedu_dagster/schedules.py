"""The daily audit: the report of yesterday, and the checks of the essays that came in."""

from collections.abc import Iterator
from datetime import timedelta

from dagster import (
    DefaultScheduleStatus,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    schedule,
)

from huleedu_dagster.assets.groups import OF_DAYS, OF_ESSAYS, OWNED
from huleedu_dagster.jobs import AUDIT_JOB, ESSAY_CHECK_JOB
from huleedu_dagster.partitions import BATCH_DIMENSION, ESSAY_DIMENSION, range_tags
from huleedu_dagster.resources.ledger import LedgerResource

_AUDIT = """Reports on the day that ended, every night at 00:15 UTC.

**When nights were missed**, since nothing ran then, the latest one is made up for by itself.
Materialize the other days of `audit_report`: a report can be made of any day, any time after it.
"""
_CHECKS = """Checks the essays of every batch in which anything happened on the day that ended.

Every night at 00:30 UTC, with one run for each batch, behind all other runs in the queue. **When
nights were missed**, the latest one is made up for by itself; for others, launch the job
`check_essays` for the cells of their batches. **A run that fails**, since a store was away, is not
repeated: launch it again from its page.
"""


def build_schedules() -> list[ScheduleDefinition]:
    """The schedules of the audit, running by default, at night in UTC."""

    @schedule(
        name="daily_audit",
        job_name=AUDIT_JOB,
        description=_AUDIT,
        metadata=OWNED,
        tags=OF_DAYS,
        cron_schedule="15 0 * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
    )
    def daily_audit(context: ScheduleEvaluationContext) -> RunRequest:
        """Reports on the day that ended."""
        day = (context.scheduled_execution_time - timedelta(days=1)).date().isoformat()
        return RunRequest(run_key=day, partition_key=day)

    @schedule(
        name="daily_essay_checks",
        job_name=ESSAY_CHECK_JOB,
        description=_CHECKS,
        metadata=OWNED,
        tags=OF_ESSAYS,
        cron_schedule="30 0 * * *",
        execution_timezone="UTC",
        default_status=DefaultScheduleStatus.RUNNING,
    )
    def daily_essay_checks(
        context: ScheduleEvaluationContext, ledger: LedgerResource
    ) -> Iterator[RunRequest]:
        """Checks the essays of every batch that received or recorded anything on that day."""
        day = (context.scheduled_execution_time - timedelta(days=1)).date()
        with ledger.open().read() as tx:
            touched = tx.audit.batches_touched(day)
            slots = {it: [essay.slot for essay in tx.essays.of_batch(it)] for it in touched}
        shown = set(context.instance.get_dynamic_partitions(BATCH_DIMENSION))
        order = list(context.instance.get_dynamic_partitions(ESSAY_DIMENSION))
        for batch_id in touched:
            # What no run came to yet has nothing that can be checked, and no cell in Dagster.
            known = [it for it in slots[batch_id] if it in order] if batch_id in shown else []
            if known:
                yield RunRequest(
                    run_key=f"{day.isoformat()}:{batch_id}",
                    tags=range_tags(batch_id, known, order),
                )

    return [daily_audit, daily_essay_checks]
