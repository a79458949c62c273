"""`batch_sensor`: closes what is due and asks for the closing work of every settled batch."""

from collections.abc import Collection, Iterable, Iterator

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
from huleedu_dagster.sensors.asking import new_batches, unfinished_runs, used_keys
from huleedu_dagster.sensors.lines import log_request
from huleedu_dagster.sensors.tags import (
    BATCH_TAG,
    CORRELATION_TAG,
    Priority,
    RunKind,
    run_tags,
)
from huleedu_dagster.settings import Settings

_NAME = "batch_sensor"
_BATCHES_PER_TICK = 200

_DESCRIPTION = """Closes what is due, then asks for manifest, check, release and report.

A batch closes when it is full, at its deadline, after its timeout, or when an inbox folder that
nobody registered has been quiet; its closing work is asked for once every received essay has an
outcome, and again when an outcome changed.

**A tick is skipped** when no batch has come to that; its reason says how many are in work, and of
how many a run ended, which are asked for anew as soon as `failure_sensor` lets them. **While it is
stopped**, batches stay open past their deadlines and nothing is released.
"""


def build_batch_sensor(settings: Settings) -> SensorDefinition:
    """The sensor with the settings of this installation."""

    @sensor(
        name=_NAME,
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
        wanted = list(_requests(found, busy))
        used = used_keys(context.instance, _NAME, [str(it.run_key) for it in wanted])
        requests = [it for it in wanted if it.run_key not in used]
        # The other sensor may not have come by yet: this one does not rely on it.
        new = new_batches(context.instance, [str(it.partition_key) for it in requests])
        _log(requests)
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_skipped(len(busy), len(wanted)),
            dynamic_partitions_requests=[BATCHES.build_add_request(new)] if new else [],
        )

    return batch_sensor


def _log(requests: Iterable[RunRequest]) -> None:
    for it in requests:
        corr_ids = [it.tags.get(CORRELATION_TAG, "")]
        log_request(RunKind.CLOSING, it.tags[BATCH_TAG], it.run_key, corr_ids)


def _why_skipped(busy: int, ended: int) -> str:
    if ended:
        found = f"Batches whose closing work was in runs that ended, and is asked for anew: {ended}"
    else:
        found = "No batch waits for its closing work"
    return f"{found}; runs of it that wait or are under way: {busy}."


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
    return RunRequest(
        partition_key=batch_id,
        run_key=run_key,
        tags=run_tags(batch_id, RunKind.CLOSING, Priority.CLOSING, corr_id),
    )
