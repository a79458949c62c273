"""Runs that died and runs that never began: what is found, what counts, what is asked for again."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from dagster import DagsterRun, DagsterRunStatus, RunsFilter
from dagster._daemon.monitoring.run_monitoring import monitor_starting_run

from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.orchestration.orphans import fail_orphans
from huleedu_dagster.pipeline.lifecycle import close, dead_letters
from huleedu_dagster.sensors.ended import Position, ended_badly
from huleedu_dagster.sensors.never_began import ask_anew
from tests.dagster.test_queue import hand_in, queue_of
from tests.support.evaluating import evaluate
from tests.support.runs import asked_for, begun, die, record
from tests.support.world import World, range_tags


def attempts(world: World, batch: str) -> int:
    """The counter of a batch's closing work, with those of its essays."""
    with world.ledger.read() as tx:
        own = tx.batches.get(batch).attempts
        return own + sum(it.attempts for it in tx.essays.of_batch(batch))


def counted(world: World) -> set[str]:
    """Runs that are written down as failed, or as never begun."""
    with world.ledger.read() as tx:
        found = tx.connection.exec_driver_sql("SELECT DISTINCT run_id FROM attempts")
        return set(found.scalars())


def test_runs_in_the_queue_outlive_restarts_of_the_daemon(world: World) -> None:
    hand_in(world, "a", "b")
    for _ in range(world.settings.max_attempts + 1):
        with queue_of(world) as queue:
            queue.tick()
            assert queue.waiting() == {("essays", "a"), ("essays", "b")}
        assert fail_orphans(world.instance) == 0
    with queue_of(world) as queue:
        queue.next()
        queue.next()
    assert len(world.runs("process_essays")) == 2
    assert {world.view(it).ready for it in ("a", "b")} == {1}


def test_runs_that_wait_when_one_command_takes_over_are_asked_for_and_not_counted(
    world: World,
) -> None:
    hand_in(world, "a")
    for number in range(world.settings.max_attempts + 1):
        with queue_of(world) as queue:
            queue.tick()
            assert queue.waiting() == {("essays", "a")}
        assert world.daemon.fail_orphans() == 1
        assert len(world.runs("process_essays")) == number + 1
        world.clock.advance(3600)
        evaluate(world, "failure_sensor")

    assert dead_letters(world.ledger) == []
    assert attempts(world, "a") == 0
    world.settle()
    assert world.view("a").status is BatchStatus.READY


def test_a_command_that_takes_over_leaves_in_the_queue_what_no_sensor_asks_for(
    world: World,
) -> None:
    hand_in(world, "a")
    with queue_of(world) as queue:
        queue.tick()
        queue.launch("process_essays", range_tags("a|e001", "a|e001"))
    assert world.daemon.fail_orphans() == 1
    found = [(it.status, "huleedu/batch" in it.tags) for it in world.runs("process_essays")]
    assert found == [(DagsterRunStatus.QUEUED, False), (DagsterRunStatus.FAILURE, True)]


@pytest.mark.parametrize("slots", [("e001",), ()])
def test_runs_that_no_worker_takes_in_time_are_no_attempts(
    world: World, monkeypatch: pytest.MonkeyPatch, slots: tuple[str, ...]
) -> None:
    monkeypatch.setattr(
        type(world.instance), "run_monitoring_start_timeout_seconds", property(lambda _: 0)
    )
    sensor = "upload_sensor" if slots else "batch_sensor"
    if slots:
        hand_in(world, "a")
    else:
        world.register("a", expected=2)
        close(world.ledger, "a", ClosedBy.REQUEST)
    keys = set()
    for _ in range(world.settings.max_attempts + 1):
        (key,) = evaluate(world, sensor)
        keys.add(key)
        run = asked_for(world, "a", *slots, key=key, status=DagsterRunStatus.NOT_STARTED)
        monitor_starting_run(world.instance, record(world, run), logging.getLogger("monitoring"))
        assert record(world, run).dagster_run.status is DagsterRunStatus.FAILURE
        world.clock.advance(900)
        evaluate(world, "failure_sensor")

    assert len(keys) == world.settings.max_attempts + 1
    assert dead_letters(world.ledger) == []
    assert attempts(world, "a") == 0
    world.settle()
    assert world.view("a").status is (BatchStatus.READY if slots else BatchStatus.INCOMPLETE)


def test_a_run_that_never_began_asks_for_nothing_that_is_done_since(world: World) -> None:
    hand_in(world, "a")
    run = asked_for(world, "a", "e001")
    die(world, run)
    world.settle()
    asked = world.daemon.run_count()

    evaluate(world, "failure_sensor")
    world.tick(times=2)
    assert world.daemon.run_count() == asked
    assert world.view("a").status is BatchStatus.READY


def test_between_runs_that_keep_not_beginning_there_are_longer_and_longer_pauses(
    world: World,
) -> None:
    hand_in(world, "a", "b")
    waited = []
    for _ in range(8):
        run = asked_for(world, "a", "e001")
        minutes = 0
        while not ask_anew(world.ledger, run):
            minutes += 1
            world.clock.advance(60)
        assert ask_anew(world.ledger, run), "what is done is no reason to wait"
        waited.append(minutes)
    assert waited == [0, 0, 1, 2, 4, 8, 15, 15]
    assert ask_anew(world.ledger, asked_for(world, "b", "e001")), "another batch waits for none"


def test_a_clock_that_is_put_back_makes_no_pause_longer(world: World) -> None:
    hand_in(world, "a")
    runs = [asked_for(world, "a", "e001") for _ in range(3)]
    assert ask_anew(world.ledger, runs[0])
    assert ask_anew(world.ledger, runs[1])
    assert not ask_anew(world.ledger, runs[2])
    world.clock.advance(-86_400)
    assert ask_anew(world.ledger, runs[2])


def test_what_is_to_be_asked_for_after_a_pause_is_not_forgotten_meanwhile(world: World) -> None:
    hand_in(world, "a")
    with queue_of(world) as queue:
        queue.tick()
        for _ in range(3):
            assert queue.waiting() == {("essays", "a")}
            (run,) = world.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
            die(world, run)
            queue.tick()
            queue.tick()
        assert queue.waiting() == set()
        world.clock.advance(60)
        queue.tick()
        queue.tick()
        assert queue.waiting() == {("essays", "a")}
    assert attempts(world, "a") == 0


def test_a_closing_run_of_a_machine_whose_clock_is_late_is_found(world: World) -> None:
    world.register("b1")
    world.register("b2")
    now = datetime.now(UTC)
    first, late = begun(world, "b1"), begun(world, "b2")
    die(world, first, now)
    world.tick()
    die(world, late, now - timedelta(hours=2))
    world.tick()
    assert counted(world) == {first.run_id, late.run_id}


def test_a_clock_that_is_put_back_hides_no_run(world: World) -> None:
    world.register("b1")
    world.register("b2")
    first = begun(world, "b1")
    die(world, first, datetime.now(UTC) + timedelta(days=1))
    world.tick()
    later = begun(world, "b2")
    die(world, later)
    world.tick()
    assert counted(world) == {first.run_id, later.run_id}


def test_a_tick_looks_at_a_part_of_many_runs_and_the_next_at_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huleedu_dagster.sensors.failures._RUNS_PER_TICK", 2)
    batches = [f"b{number}" for number in range(10)]
    for batch in batches:
        world.register(batch)
    dead = [begun(world, it) for it in batches[:5]]
    world.tick()
    dead += [begun(world, it) for it in batches[5:]]
    for run in dead:
        die(world, run)
    seen = [0]
    while seen[-1] < len(dead):
        world.tick()
        seen.append(len(counted(world)))
        assert seen[-2] < seen[-1] <= seen[-2] + 4
    assert counted(world) == {it.run_id for it in dead}


def test_a_run_is_found_once_and_none_is_missed_when_the_last_one_is_deleted(
    world: World,
) -> None:
    def look(position: Position) -> tuple[list[DagsterRun], Position]:
        found, following = ended_badly(world.instance, position, 10)
        return [it.dagster_run for it in found], Position.read(str(following))

    first, second = begun(world, "b1"), begun(world, "b2")
    die(world, second)
    found, position = look(Position.read("unknown"))
    assert [it.run_id for it in found] == [second.run_id]
    found, position = look(position)
    assert found == []

    die(world, first)
    found, position = look(position)
    assert [it.run_id for it in found] == [first.run_id]
    found, position = look(position)
    assert found == []

    world.instance.delete_run(second.run_id)
    third = begun(world, "b3")
    die(world, third)
    found, _ = look(position)
    assert third.run_id in {it.run_id for it in found}
