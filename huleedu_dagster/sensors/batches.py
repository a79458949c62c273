"""`batch_sensor`: closes what is due and asks for the closing work of every settled batch."""

from collections.abc import Collection, Iterator

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from huleedu_dagster.assets.groups import OF_BATCHES, OWNED
from huleedu_dagster.jobs import CLOSING_JOB
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.partitions import BATCHES
from huleedu_dagster.pipeline.lifecycle import close_what_is_due
from huleedu_dagster.pipeline.results import (
    note_if_reported,
    report_fingerprint,
)
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.pipeline.waves import closing_run_key
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.sensors.asking import new_batches, unfinished_runs
from huleedu_dagster.sensors.lines import log_request
from huleedu_dagster.sensors.tags import BATCH_TAG, Priority, RunKind, run_tags
from huleedu_dagster.settings import Settings

_BATCHES_PER_TICK = 200

_DESCRIPTION = """Closes what is due, then asks for manifest, check, release and report.

A batch closes when it is full, at its deadline, after its timeout, or when an inbox folder that
nobody registered has been quiet; its closing work is asked for once every received essay has an
outcome, and again when an outcome changed.

**A tick is skipped** when no batch has come to that; its reason says how many are in work. **While
it is stopped**, batches stay open past their deadlines and nothing is released.
"""


def build_batch_sensor(settings: Settings) -> SensorDefinition:
    """The sensor with the settings of this installation."""

    @sensor(
        name="batch_sensor",
        job_name=CLOSING_JOB,
        description=_DESCRIPTION,
        metadata=OWNED,
        tags=OF_BATCHES,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def batch_sensor(context: SensorEvaluationContext, ledger: LedgerResource) -> SensorResult:
        """Closes what is due, then asks for manifest, check, release and report."""
        found = ledger.open()
        close_what_is_due(found, quiet_seconds=settings.inbox_quiet_seconds)
        # Before the ledger is asked: a run that ends in between leaves its batch reported.
        busy = {it.tags[BATCH_TAG] for it in unfinished_runs(context.instance, RunKind.CLOSING)}
        requests = list(_requests(found, busy))
        # The other sensor may not have come by yet: this one does not rely on it.
        new = new_batches(context.instance, [str(it.partition_key) for it in requests])
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_skipped(len(busy)),
            dynamic_partitions_requests=[BATCHES.build_add_request(new)] if new else [],
        )

    return batch_sensor


def _why_skipped(busy: int) -> str:
    return f"No batch waits for its closing work; runs of it that wait or are under way: {busy}."


def _requests(ledger: Ledger, busy: Collection[str]) -> Iterator[RunRequest]:
    with ledger.read() as tx:
        batches = tx.batches.unreported(_BATCHES_PER_TICK, without=busy)
    for batch in batches:
        with ledger.write() as tx:
            request = _request(tx, BatchFacts.read(tx, batch.batch_id, lock=True))
        if request is not None:
            yield request


def _request(tx: Transaction, facts: BatchFacts) -> RunRequest | None:
    batch_id = facts.batch.batch_id
    if not facts.completeness.settled or facts.closing_work_failed:
        return None
    # After a run that died, Dagster may not show what is stored: then it is emitted again.
    if facts.batch.attempts == 0 and note_if_reported(tx, batch_id, facts):
        return None
    released = tx.results.latest_release(batch_id)
    revision = 0 if released is None else released.revision
    run_key = closing_run_key(facts, report_fingerprint(facts), revision)
    corr_id = facts.batch.registration.correlation_id
    log_request(RunKind.CLOSING, batch_id, run_key, [corr_id])
    return RunRequest(
        partition_key=batch_id,
        run_key=run_key,
        tags=run_tags(batch_id, RunKind.CLOSING, Priority.CLOSING, corr_id),
    )
