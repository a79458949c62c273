"""Runs that ended and whose work waits: nothing is asked for in vain, logged or counted for it."""

from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterRunStatus, RunsFilter

from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.orchestration.in_process import TickFailedError
from huleedu_dagster.pipeline.essays import EssayPipeline, record_attempt
from huleedu_dagster.pipeline.lifecycle import close
from huleedu_dagster.sensors.ended import Position, ended_badly
from tests.dagster.test_acceptance import essays
from tests.dagster.test_metadata import last_tick
from tests.dagster.test_queue import Queue, hand_in, queue_of
from tests.support.boundary import refuse_listing
from tests.support.evaluating import evaluate
from tests.support.lines import captured
from tests.support.runs import asked_for, begun, die
from tests.support.world import GOOD, World


def until_a_pause(world: World, queue: Queue) -> None:
    """Let runs that wait end before they begin until the next one is to wait."""
    queue.tick()
    for _ in range(3):
        (run,) = world.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
        die(world, run)
        queue.tick()
        queue.tick()
    assert queue.waiting() == set()


@pytest.mark.parametrize("kind", ["essays", "closing"])
def test_in_the_pause_after_runs_that_never_began_no_tick_asks_for_a_run_that_ended(
    world: World, kind: str
) -> None:
    if kind == "essays":
        hand_in(world, "a")
    else:
        world.register("a", expected=2)
        close(world.ledger, "a", ClosedBy.REQUEST)
    sensor = "upload_sensor" if kind == "essays" else "batch_sensor"
    with queue_of(world) as queue:
        until_a_pause(world, queue)
        asked = world.daemon.run_count()

        with captured() as lines:
            queue.tick()
            queue.tick()
        assert "run requested" not in lines.text
        assert world.daemon.run_count() == asked
        assert evaluate(world, sensor) == []
        assert "asked for anew" in last_tick(world, sensor).skip_reason

        world.clock.advance(60)
        with captured() as lines:
            queue.tick()
            queue.tick()
        assert queue.waiting() == {(kind, "a")}
        assert lines.text.count("run requested") == 1


def test_in_such_a_pause_an_inbox_that_cannot_be_listed_shows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(world, "a")
    world.settings.inbox_folder.mkdir(exist_ok=True)
    with queue_of(world) as queue:
        until_a_pause(world, queue)
        refuse_listing(monkeypatch, world.settings.inbox_folder.name)
        with pytest.raises(TickFailedError):
            queue.tick()


def test_a_run_that_was_stored_and_not_launched_is_asked_for_again(world: World) -> None:
    hand_in(world, "a")
    (key,) = evaluate(world, "upload_sensor")
    asked_for(world, "a", "e001", key=key, status=DagsterRunStatus.NOT_STARTED)
    assert evaluate(world, "upload_sensor") == [key]


def test_the_key_of_another_sensors_run_is_not_used_up(world: World) -> None:
    hand_in(world, "a")
    (key,) = evaluate(world, "upload_sensor")
    die(world, asked_for(world, "a", key=key))
    assert evaluate(world, "upload_sensor") == [key]


def test_a_tick_without_anything_due_asks_dagster_for_no_run_key(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    filters: list[RunsFilter] = []
    get_runs = type(world.instance).get_runs

    def noted(*args: object, **more: object) -> object:
        filters.extend(it for it in (*args, *more.values()) if isinstance(it, RunsFilter))
        return get_runs(*args, **more)  # type: ignore[arg-type]

    hand_in(world, "a")
    monkeypatch.setattr(type(world.instance), "get_runs", noted)
    evaluate(world, "upload_sensor")
    assert sum("dagster/run_key" in it.tags for it in filters) == 1
    world.settle()
    filters.clear()
    evaluate(world, "upload_sensor")
    evaluate(world, "batch_sensor")
    assert sum("dagster/run_key" in it.tags for it in filters) == 0
    assert filters


def test_the_cursor_of_an_earlier_version_is_gone_on_from_and_not_from_the_beginning(
    world: World,
) -> None:
    now = datetime.now(UTC)
    old, first, second, late = (begun(world, f"b{number}") for number in range(4))
    die(world, old, now - timedelta(days=300))
    for run in (first, second):
        die(world, run, now)
    # Made before the last one that was looked at; ended within the minute before that.
    die(world, late, now - timedelta(seconds=30))

    position = Position.read(now.isoformat())
    seen = []
    for _ in range(5):
        found, position = ended_badly(world.instance, position, 1)
        position = Position.read(str(position))
        seen += [it.dagster_run.run_id for it in found]
    assert seen == [first.run_id, second.run_id, late.run_id]
    assert position.since is None

    clock_is_late = begun(world, "b4")
    die(world, clock_is_late, now - timedelta(days=300))
    found, _ = ended_badly(world.instance, position, 9)
    assert [it.dagster_run.run_id for it in found] == [clock_is_late.run_id]


def test_an_old_run_brings_no_archived_batch_back(world: World) -> None:
    world.register("a", expected=2)
    world.hand_in("a", essays(2))
    world.settle()
    assert world.view("a").status is BatchStatus.READY
    run = begun(world, "a", "e001", "e002")
    record_attempt(world.ledger, "a", "e001", run_id=run.run_id, reason="OSError", max_attempts=3)
    world.instance.delete_dynamic_partition("batch", "a")
    asked = world.daemon.run_count()

    die(world, run)
    world.settle()
    assert world.daemon.run_count() == asked
    assert not world.instance.has_dynamic_partition("batch", "a")
    with world.ledger.read() as tx:
        assert tx.essays.due(9) == []
        assert tx.failures.counted(run.run_id) == {"e001"}


def test_a_failure_of_an_older_version_takes_no_attempt_from_the_newer_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.setting("MAX_ATTEMPTS", "1")
    world.reload()
    hand_in(world, "a")
    with world.ledger.read() as tx:
        (first,) = tx.essays.of_batch("a")
    process = EssayPipeline.process

    def overtaken(*args: object, **more: object) -> object:
        monkeypatch.setattr(EssayPipeline, "process", process)
        world.hand_in("a", {first.upload.path: f"{GOOD} Newer.".encode()})
        raise OSError

    monkeypatch.setattr(EssayPipeline, "process", overtaken)
    world.settle()
    with world.ledger.read() as tx:
        (second,) = tx.essays.of_batch("a")
        assert tx.failures.open_letters("a") == []
    assert (second.upload.version, second.attempts) == (2, 0)
    assert world.view("a").status is BatchStatus.READY
