"""`upload_sensor`: takes in the inbox and asks for a run wherever essays are pending.

Level-triggered: the ledger says what is pending, Dagster never. A crash between adding partitions
and launching the run loses nothing, since the next tick asks again with the same run key.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dagster import (
    AddDynamicPartitionsRequest,
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    sensor,
)

from huleedu_dagster.assets.emission import REGISTRATION
from huleedu_dagster.assets.groups import OF_ESSAYS, OWNED
from huleedu_dagster.assets.registration import registration_event
from huleedu_dagster.assets.shown import shown_data_version
from huleedu_dagster.jobs import ESSAY_JOB
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.records import Batch, Essay
from huleedu_dagster.partitions import BATCHES, ESSAY_DIMENSION, SLOTS, range_tags
from huleedu_dagster.pipeline.inbox import Inbox
from huleedu_dagster.pipeline.inbox_sweep import Sweep
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.pipeline.waves import Wave, plan_waves, slots_up_to
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.telling import store_errors_told
from huleedu_dagster.sensors.asking import new_batches, unfinished_runs, used_keys
from huleedu_dagster.sensors.lines import log_request
from huleedu_dagster.sensors.sweeps import log_sweep, log_trouble
from huleedu_dagster.sensors.tags import (
    BATCH_TAG,
    Priority,
    RunKind,
    essay_run_config,
    run_tags,
    slots_of,
)
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.port import BlobStore

_NAME = "upload_sensor"
_REGISTRATIONS_PER_TICK = 200

_DESCRIPTION = """Takes in the inbox, then asks for one run for each batch with pending essays.

What is pending, the ledger says; so a tick after a crash asks for the same again, under the same
run key. It also tells of the settings of batches (`batch_registration`).

**A tick is skipped** when nothing is due, or when runs that wait, are under way or have ended have
all that is; its reason says how many. What a run that ended had is asked for anew as soon as
`failure_sensor` lets it. **It fails** when the inbox cannot be listed or its files cannot be kept,
once there is nothing else to ask for. **While it is stopped**, files of the inbox stay where they
are, and what is handed in elsewhere is kept and waits.
"""


def build_upload_sensor(settings: Settings, pipeline_version: str) -> SensorDefinition:
    """The sensor with the settings of this installation.

    Args:
        settings: Limits of a tick and of the inbox.
        pipeline_version: Version of the pipeline's code, part of run keys.
    """

    @sensor(
        name=_NAME,
        job_name=ESSAY_JOB,
        description=_DESCRIPTION,
        metadata=OWNED,
        tags=OF_ESSAYS,
        minimum_interval_seconds=settings.sensor_interval_seconds,
        default_status=DefaultSensorStatus.RUNNING,
    )
    def upload_sensor(
        context: SensorEvaluationContext, ledger: LedgerResource, blobs: BlobStoreResource
    ) -> SensorResult:
        """Takes in the inbox, then asks for one run for each batch with pending essays."""
        found = ledger.open()
        sweep, trouble = _sweep(settings, found, blobs)
        # Before the ledger is asked: a run that ends in between leaves nothing pending behind.
        busy = _cells_in_work(context.instance)
        with found.read() as tx:
            due = tx.essays.due(settings.wave_limit)
            unpublished = tx.batches.unpublished(_REGISTRATIONS_PER_TICK)
        idle = [it for it in due if (it.upload.batch_id, it.slot) not in busy]
        waves = _askable(context.instance, plan_waves(idle, pipeline_version=pipeline_version))
        known = list(context.instance.get_dynamic_partitions(ESSAY_DIMENSION))
        new_slots = _new_slots(known, waves)
        order = [*known, *new_slots]
        events = _publish(context.instance, found, unpublished)
        # Not for what is only ticked off: it may be archived by now.
        batch_ids = {it.batch_id for it in waves} | {str(it.partition) for it in events}
        requests = [_run_request(wave, order, _correlation(wave, idle)) for wave in waves]
        partitions = _partitions(context.instance, batch_ids, new_slots)
        if trouble is not None and not (requests or events):
            # With anything else to do the tick does it: one folder must not stop every class.
            with store_errors_told():
                raise trouble
        # Last: a tick that fails asks for nothing.
        _log(waves, idle)
        return SensorResult(
            run_requests=requests,
            skip_reason=None if requests else _why_skipped(len(due), len(idle), len(busy), sweep),
            dynamic_partitions_requests=partitions,
            asset_events=events,
        )

    return upload_sensor


def _sweep(
    settings: Settings, ledger: Ledger, blobs: BlobStoreResource
) -> tuple[Sweep, OSError | None]:
    """What was found in the inbox, and why no more was."""
    with store_errors_told():
        inbox = _inbox(settings, ledger, blobs.open())
    try:
        sweep = inbox.sweep(datetime.now(UTC), settings.inbox_tick_files)
    except OSError as error:
        log_trouble("inbox", error)
        return Sweep(), error
    log_sweep("inbox", sweep)
    return sweep, None


def _inbox(settings: Settings, ledger: Ledger, blobs: BlobStore) -> Inbox:
    return Inbox(
        folder=settings.inbox_folder,
        intake=Intake(ledger, blobs, settings.max_slots),
        settings=settings.batch_settings,
        settle_seconds=settings.inbox_settle_seconds,
        max_bytes=settings.max_upload_bytes,
    )


def _cells_in_work(instance: DagsterInstance) -> set[tuple[str, str]]:
    """Batch and slot of every essay that an unfinished run was asked to compute."""
    runs = unfinished_runs(instance, RunKind.ESSAYS)
    return {(it.tags[BATCH_TAG], slot) for it in runs for slot in slots_of(it)}


def _askable(instance: DagsterInstance, waves: Sequence[Wave]) -> list[Wave]:
    """Those of these waves that Dagster would launch a run for."""
    used = used_keys(instance, _NAME, [it.run_key for it in waves])
    return [it for it in waves if it.run_key not in used]


def _new_slots(known: Sequence[str], waves: Sequence[Wave]) -> list[str]:
    last = max((wave.last for wave in waves), default=None)
    return [it for it in slots_up_to(last) if it not in known] if last else []


def _log(waves: Iterable[Wave], essays: Iterable[Essay]) -> None:
    came_under = {(it.upload.batch_id, it.slot): it.upload.correlation_id for it in essays}
    for wave in waves:
        corr_ids = [came_under[wave.batch_id, slot] for slot in wave.slots]
        log_request(RunKind.ESSAYS, wave.batch_id, wave.run_key, corr_ids, len(wave.slots))


def _why_skipped(due: int, idle: int, busy: int, sweep: Sweep) -> str:
    if idle:
        found = f"Of {due} essays that are due, {idle} were in runs that ended, and are asked for "
        found += "anew later; all others are in runs that wait or are under way."
    elif due:
        found = f"Of {due} essays that are due, all are in runs that wait or are under way."
    else:
        found = f"No essay is due; {busy} are in runs that wait or are under way."
    return f"{found} Files of the inbox that still change: {sweep.waiting}."


def _correlation(wave: Wave, essays: Iterable[Essay]) -> str:
    """The id of the request that all essays of a wave came with; empty if there are several."""
    found = {it.upload.correlation_id for it in essays if it.upload.batch_id == wave.batch_id}
    return found.pop() if len(found) == 1 else ""


def _run_request(wave: Wave, order: Sequence[str], correlation_id: str) -> RunRequest:
    priority = Priority.AWAITED if wave.awaited else Priority.AGAIN
    return RunRequest(
        run_key=wave.run_key,
        run_config=essay_run_config(wave.slots),
        tags={
            **run_tags(wave.batch_id, RunKind.ESSAYS, priority, correlation_id),
            **range_tags(wave.batch_id, wave.slots, order),
        },
    )


def _publish(
    instance: DagsterInstance, ledger: Ledger, unpublished: Sequence[Batch]
) -> list[AssetMaterialization]:
    """Events for the settings that Dagster does not show yet; what it shows is ticked off."""
    events = []
    for batch in unpublished:
        settings = batch.registration.settings
        shown = shown_data_version(instance, AssetKey(REGISTRATION), batch.batch_id)
        if shown == settings.data_version:
            with ledger.write() as tx:
                tx.batches.mark_published(batch.batch_id, settings.data_version)
        else:
            events.append(registration_event(batch.batch_id, settings))
    return events


def _partitions(
    instance: DagsterInstance, batch_ids: Iterable[str], new_slots: Sequence[str]
) -> list[AddDynamicPartitionsRequest]:
    requests: list[AddDynamicPartitionsRequest] = []
    if found := new_batches(instance, batch_ids):
        requests.append(BATCHES.build_add_request(found))
    if new_slots:
        requests.append(SLOTS.build_add_request(new_slots))
    return requests
