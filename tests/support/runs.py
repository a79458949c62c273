"""Runs as the sensors ask for them, which nobody executes."""

from datetime import datetime

from dagster import DagsterEvent, DagsterEventType, DagsterRun, DagsterRunStatus, RunRecord
from dagster._core.events.log import EventLogEntry
from dagster._core.test_utils import create_run_for_test

from tests.support.world import World


def asked_for(
    world: World,
    batch: str,
    *slots: str,
    key: str | None = None,
    status: DagsterRunStatus = DagsterRunStatus.STARTING,
) -> DagsterRun:
    """A run of these slots, or of the closing work of a batch if none is named."""
    kind, job = ("essays", "process_essays") if slots else ("closing", "finalise_batch")
    sensor = "upload_sensor" if slots else "batch_sensor"
    of_key = {"dagster/run_key": key, "dagster/sensor_name": sensor} if key else {}
    run: DagsterRun = create_run_for_test(
        world.instance,
        job_name=job,
        status=status,
        run_config={"ops": {"essays": {"config": {"slots": list(slots)}}}} if slots else {},
        tags={"huleedu/batch": batch, "huleedu/kind": kind, **of_key},
    )
    return run


def begun(world: World, batch: str, *slots: str, key: str | None = None) -> DagsterRun:
    """A run that its process has begun."""
    run = asked_for(world, batch, *slots, key=key)
    _report(world, run, DagsterEventType.RUN_START)
    return run


def die(world: World, run: DagsterRun, at: datetime | None = None) -> None:
    """Let a run fail, at a time by the clock of its machine."""
    _report(world, run, DagsterEventType.RUN_FAILURE, at)


def record(world: World, run: DagsterRun) -> RunRecord:
    """What Dagster knows of a run."""
    found = world.instance.get_run_record_by_id(run.run_id)
    assert found is not None
    return found


def _report(
    world: World, run: DagsterRun, kind: DagsterEventType, at: datetime | None = None
) -> None:
    event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name, message="")
    if at is None:
        world.instance.report_dagster_event(event, run_id=run.run_id)
        return
    entry = EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        user_message="",
        level=40,
        run_id=run.run_id,
        timestamp=at.timestamp(),
        job_name=run.job_name,
        dagster_event=event,
    )
    world.instance.handle_new_event(entry)
