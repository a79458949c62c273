"""`failure_sensor`: counts runs that died without recording it (killed, cancelled, crashed).

A run that finished records its own failures. One that died could not, and its run key would stand
in the way for ever; counting the attempt changes the key, so that the work is asked for again or
becomes a dead letter. A failed completeness check is neither.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRecord,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.results import manifest_is_current
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind, slots_of
from huleedu_dagster.settings import Settings

_OVERLAP = timedelta(minutes=1)
_ENDED_BADLY = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def build_failure_sensor(settings: Settings) -> SensorDefinition:
    """The sensor with the settings of this installation."""

    @sensor(
        name="failure_sensor",
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def failure_sensor(context: SensorEvaluationContext, ledger: LedgerResource) -> SensorResult:
        """Counts the runs that died without recording it."""
        records = _ended_badly(context.instance, context.cursor)
        for record in records:
            _count(ledger.open(), record.dagster_run, settings.max_attempts)
        latest = max((it.update_timestamp for it in records), default=None)
        return SensorResult(cursor=latest.isoformat() if latest else context.cursor)

    return failure_sensor


def _ended_badly(instance: DagsterInstance, cursor: str | None) -> list[RunRecord]:
    # Looked at again within the overlap: a run counts once, so seeing it twice is harmless, and
    # missing one whose update was stored late is not.
    since = datetime.fromisoformat(cursor) - _OVERLAP if cursor else None
    found = instance.get_run_records(
        RunsFilter(statuses=_ENDED_BADLY, updated_after=since),
        order_by="update_timestamp",
        ascending=True,
    )
    return [it for it in found if BATCH_TAG in it.dagster_run.tags]


def _count(ledger: Ledger, run: DagsterRun, max_attempts: int) -> None:
    batch_id = run.tags[BATCH_TAG]
    with ledger.read() as tx:
        if tx.failures.run_recorded(run.run_id) or tx.batches.find(batch_id) is None:
            return
        facts = BatchFacts.read(tx, batch_id)
        stopped_by_check = manifest_is_current(tx, facts) and not facts.completeness.ready
    if run.tags.get(KIND_TAG) == RunKind.ESSAYS:
        slots: Iterable[str] = slots_of(run)
    elif run.tags.get(KIND_TAG) == RunKind.CLOSING and stopped_by_check:
        return
    else:
        slots = (BATCH_LEVEL,)
    for slot in slots:
        record_attempt(
            ledger,
            batch_id,
            slot,
            run_id=run.run_id,
            reason=f"run {run.status.value.lower()}",
            max_attempts=max_attempts,
        )
