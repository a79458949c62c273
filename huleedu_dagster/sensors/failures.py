"""`failure_sensor`: counts runs that died without recording it (killed, cancelled, crashed).

A run that finished records its own failures. One that died could not, and its run key would stand
in the way for ever; counting the attempt changes the key, so that the work is asked for again or
becomes a dead letter. The last events of such a run may be lost too: what it had done is asked for
once more and emitted without being computed. A failed completeness check is none of this.
"""

from datetime import datetime, timedelta

from dagster import (
    AssetKey,
    DagsterEventType,
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

from huleedu_dagster.assets.batches import RELEASE, REPORT
from huleedu_dagster.assets.groups import OF_ESSAYS, OWNED
from huleedu_dagster.assets.shown import shown_data_version
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.results import report_fingerprint
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.sensors.lines import log_died
from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind, slots_of
from huleedu_dagster.settings import Settings

_DESCRIPTION = """Counts the runs that died without recording it: killed, cancelled, crashed.

A run that ended by itself records its failures; one that died could not. Its essays are asked for
again, and become dead letters after too many attempts (`huleedu dlq list`). A run that was stopped
by the completeness check is none of these.

**It never asks for runs**, so every tick is skipped; its reason says what it looked at. The cursor
is the time (UTC) of the last run that ended badly. **While it is stopped**, what a dead run had in
work stays undone.
"""
_OVERLAP = timedelta(minutes=1)
_ENDED_BADLY = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def build_failure_sensor(settings: Settings) -> SensorDefinition:
    """The sensor with the settings of this installation."""

    @sensor(
        name="failure_sensor",
        description=_DESCRIPTION,
        metadata=OWNED,
        tags=OF_ESSAYS,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def failure_sensor(context: SensorEvaluationContext, ledger: LedgerResource) -> SensorResult:
        """Counts the runs that died without recording it."""
        records = _ended_badly(context.instance, context.cursor)
        ours = [it.dagster_run for it in records if BATCH_TAG in it.dagster_run.tags]
        counted = sum(
            _count(context.instance, ledger.open(), run, settings.max_attempts) for run in ours
        )
        latest = max((it.update_timestamp for it in records), default=None)
        return SensorResult(
            skip_reason=f"Runs that ended badly lately: {len(ours)}, of which died and count "
            f"as attempts now: {counted}.",
            cursor=latest.isoformat() if latest else context.cursor,
        )

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
    return list(found)


def _count(instance: DagsterInstance, ledger: Ledger, run: DagsterRun, max_attempts: int) -> bool:
    """Count a run that died, once; whether it is one, and was not counted before."""
    batch_id = run.tags[BATCH_TAG]
    with ledger.read() as tx:
        if tx.failures.run_recorded(run.run_id) or tx.batches.find(batch_id) is None:
            return False
        facts = BatchFacts.read(tx, batch_id)
        if run.tags.get(KIND_TAG) == RunKind.ESSAYS:
            slots = slots_of(run)
        elif _stopped_by_check(instance, run) or _shows_closing(instance, tx, facts):
            return False
        else:
            slots = [BATCH_LEVEL]
    with ledger.write() as tx:
        _ask_again(tx, batch_id, slots)
    came_under = {it.slot: it.upload.correlation_id for it in facts.essays}
    of_batch = facts.batch.registration.correlation_id
    reason = f"run {run.status.value.lower()}"
    for slot in slots:
        dead = record_attempt(
            ledger, batch_id, slot, run_id=run.run_id, reason=reason, max_attempts=max_attempts
        )
        essay_id = None if slot == BATCH_LEVEL else slot
        corr_id = came_under.get(slot, of_batch)
        log_died(batch_id, essay_id, run.run_id, reason, corr_id, dead=dead)
    return True


def _ask_again(tx: Transaction, batch_id: str, slots: list[str]) -> None:
    """Let a run emit again what is done; dead letters stay as they are."""
    # As whoever else changes several essays: one after the other.
    tx.batches.get(batch_id, lock=True)
    dead = {letter.slot for letter in tx.failures.open_letters(batch_id)}
    for slot in slots:
        if slot == BATCH_LEVEL:
            tx.batches.touch(batch_id)
        elif slot not in dead:
            tx.essays.mark_due(batch_id, slot)


def _stopped_by_check(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the completeness check of this very run failed; the facts may be others by now."""
    found = instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION
    )
    events = [it.event_log_entry.asset_check_evaluation for it in found.records]
    return any(it is not None and not it.passed for it in events)


def _shows_closing(instance: DagsterInstance, tx: Transaction, facts: BatchFacts) -> bool:
    """Whether Dagster shows the report, and for a ready batch the release, of these facts."""
    batch_id = facts.batch.batch_id
    if shown_data_version(instance, AssetKey(REPORT), batch_id) != report_fingerprint(facts):
        return False
    if not facts.completeness.ready:
        return True
    released = tx.results.latest_release(batch_id)
    shown = shown_data_version(instance, AssetKey(RELEASE), batch_id)
    return released is not None and shown == released.fingerprint
