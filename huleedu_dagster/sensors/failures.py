"""`failure_sensor`: counts runs that died without recording it (killed, cancelled, crashed).

A run that finished records its own failures and says of which essays they are. One that died could
not, or not of all, and its run key would stand in the way for ever; counting the attempt changes
the key, so that the work is asked for again or becomes a dead letter. The last events of such a run
may be lost too: what it had done is asked for once more and emitted without being computed. A
failed completeness check is none of this, nor is a run that never began: that is asked for again
without being counted.
"""

from dagster import (
    AssetKey,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from huleedu_dagster.assets.batches import RELEASE, REPORT
from huleedu_dagster.assets.essays import FAILED_ESSAYS
from huleedu_dagster.assets.groups import OF_ESSAYS, OWNED
from huleedu_dagster.assets.shown import shown_data_version
from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.partitions import BATCH_DIMENSION, cell_key
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.results import report_fingerprint
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.sensors.ended import Position, ended_badly
from huleedu_dagster.sensors.lines import log_died
from huleedu_dagster.sensors.never_began import ask_anew
from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind, slots_of
from huleedu_dagster.settings import Settings

_DESCRIPTION = """Counts the runs that died without recording it: killed, cancelled, crashed.

A run that ended by itself records its failures; one that died could not. Its essays are asked for
again, and become dead letters after too many attempts (`huleedu dlq list`). A run that was stopped
by the completeness check is none of these. One that ended before it began is asked for again and
not counted; when runs of a batch keep ending so, up to 15 minutes later.

**It never asks for runs** itself, so every tick is skipped; its reason says what it looked at. The
cursor is the last run that was looked at, and those that had not ended then. **While it is
stopped**, what a dead run had in work stays undone.
"""
_RUNS_PER_TICK = 200


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
        opened = ledger.open()
        position = Position.read(context.cursor)
        found, position = ended_badly(context.instance, position, _RUNS_PER_TICK)
        died = [it.dagster_run for it in found if it.start_time is not None]
        idle = [it.dagster_run for it in found if it.start_time is None]
        counted = sum(_count(context.instance, opened, run, settings.max_attempts) for run in died)
        later = [run.run_id for run in idle if not ask_anew(opened, run)]
        return SensorResult(
            skip_reason=f"Runs that ended badly lately: {len(found)}, of which died and count "
            f"as attempts now: {counted}, and never began: {len(idle)}.",
            cursor=str(position.watching(later)),
        )

    return failure_sensor


def _count(instance: DagsterInstance, ledger: Ledger, run: DagsterRun, max_attempts: int) -> bool:
    """Count a run that died, once; whether it is one, and was not counted before."""
    batch_id = run.tags[BATCH_TAG]
    with ledger.read() as tx:
        counted = tx.failures.counted(run.run_id)
        if BATCH_LEVEL in counted or tx.batches.find(batch_id) is None:
            return False
        facts = BatchFacts.read(tx, batch_id)
        came_under = {it.slot: it.upload.correlation_id for it in facts.essays}
        if run.tags.get(KIND_TAG) == RunKind.ESSAYS:
            lost = _may_be_lost(instance, facts)
            left = [it for it in slots_of(run) if it in lost and it not in counted]
            slots = _failed(instance, run, batch_id, left) if left else []
        elif _stopped_by_check(instance, run) or _shows_closing(instance, tx, facts):
            slots = []
        else:
            slots = [BATCH_LEVEL]
    if not slots:
        return False
    with ledger.write() as tx:
        _ask_again(tx, batch_id, slots)
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


def _may_be_lost(instance: DagsterInstance, facts: BatchFacts) -> set[str]:
    """Slots that a run about a batch may have left undone or untold.

    An archived batch was told whole: for an old run it must not come back onto Dagster's pages.
    """
    is_shown = instance.has_dynamic_partition(BATCH_DIMENSION, facts.batch.batch_id)
    return {it.slot for it in facts.essays if is_shown or it.pending}


def _failed(
    instance: DagsterInstance, run: DagsterRun, batch_id: str, slots: list[str]
) -> list[str]:
    """Those of these slots that a run failed at: all of them, unless it ended by itself.

    It did if its op says what it failed at; the events of all others were stored before that.
    """
    found = instance.get_records_for_run(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    for it in found.records:
        told = it.event_log_entry.get_dagster_event().step_failure_data.user_failure_data
        if told is not None and FAILED_ESSAYS in told.metadata:
            cells = str(told.metadata[FAILED_ESSAYS].value).split(", ")
            return [slot for slot in slots if str(cell_key(batch_id, slot)) in cells]
    return slots


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
    kind, fingerprint = ContentType.BATCH_REPORT_JSON, report_fingerprint(facts)
    stored = tx.results.blob_of(batch_id, kind, fingerprint)
    shown = shown_data_version(instance, AssetKey(REPORT), batch_id)
    if stored is None or shown != stored.rpartition("/")[2]:
        return False
    if not facts.completeness.ready:
        return True
    released = tx.results.latest_release(batch_id)
    shown = shown_data_version(instance, AssetKey(RELEASE), batch_id)
    return released is not None and shown == released.fingerprint
