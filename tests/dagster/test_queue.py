"""Which run leaves the queue first, by the daemon's own code for queued runs."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.instance.ref import InstanceRef
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.jobs import ESSAY_CHECK_JOB
from huleedu_dagster.orchestration.home import IN_PROCESS_CONFIG
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.partitions import ESSAY_DIMENSION, range_tags
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.dagster.test_acceptance import essays
from tests.support.evaluating import evaluate
from tests.support.world import World

_QUEUED: dict[str, Any] = {
    "run_coordinator": {
        "module": "dagster._core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"max_concurrent_runs": 1},
    }
}


class Queue:
    """The daemon of an installation whose runs wait in a queue and leave it one by one."""

    def __init__(self, instance: DagsterInstance, daemon: InProcessDaemon) -> None:
        self._instance = instance
        self._daemon = daemon
        self._coordinator = QueuedRunCoordinatorDaemon(interval_seconds=1)

    def tick(self) -> None:
        """Tick every sensor; what they ask for waits."""
        self._daemon.tick()

    def check(self, batch: str, *slots: str) -> None:
        """Ask for the checks of a batch's essays, as the schedule does; they wait."""
        order = list(self._instance.get_dynamic_partitions(ESSAY_DIMENSION))
        tags = {"huleedu/kind": "checks", "huleedu/batch": batch}
        self._daemon.launch(ESSAY_CHECK_JOB, tags | range_tags(batch, slots, order))

    def launch(self, job: str, tags: Mapping[str, str]) -> None:
        """Ask for a run as a person does; it waits."""
        self._daemon.launch(job, tags)

    def waiting(self) -> set[tuple[str, str]]:
        """Kind and batch of each run that waits."""
        runs = self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))
        return {(it.tags["huleedu/kind"], it.tags["huleedu/batch"]) for it in runs}

    def next(self) -> tuple[str, str]:
        """Let one run leave the queue and end; gives its kind and its batch."""
        before = self.waiting()
        errors = [it for it in self._coordinator.run_iteration(self._daemon.workspace) if it]
        assert errors == []
        (left,) = before - self.waiting()
        return left


@contextmanager
def queue_of(world: World) -> Iterator[Queue]:
    folder = str(world.settings.dagster_folder)
    reference = InstanceRef.from_dir(folder, config_filename=IN_PROCESS_CONFIG, overrides=_QUEUED)
    with (
        DagsterInstance.from_ref(reference) as instance,
        InProcessDaemon(instance, module="tests.support.world_defs") as daemon,
    ):
        yield Queue(instance, daemon)


def hand_in(world: World, *batches: str) -> None:
    for batch in batches:
        world.clock.advance(1)
        world.register(batch, expected=1)
        world.hand_in(batch, essays(1))


def test_a_class_that_is_done_gets_its_report_before_the_essays_of_the_next(world: World) -> None:
    hand_in(world, "a", "b", "c")
    with queue_of(world) as queue:
        queue.tick()
        assert queue.waiting() == {("essays", "a"), ("essays", "b"), ("essays", "c")}
        first = queue.next()
        queue.tick()
        assert queue.next() == ("closing", first[1])
        assert world.view(first[1]).status is BatchStatus.READY


def test_classes_without_results_go_before_those_that_are_worked_over_again(world: World) -> None:
    hand_in(world, "old", "older")
    world.settle()
    for batch in ("old", "older"):
        reprocess(world.ledger, batch)
    with queue_of(world) as queue:
        queue.tick()
        hand_in(world, "new")
        queue.tick()
        assert queue.waiting() == {("essays", "old"), ("essays", "older"), ("essays", "new")}
        assert queue.next() == ("essays", "new")


def test_the_checks_of_the_night_keep_no_class_waiting(world: World) -> None:
    hand_in(world, "a", "b")
    world.settle()
    with queue_of(world) as queue:
        queue.check("a", "e001")
        reprocess(world.ledger, "b")
        queue.tick()
        assert queue.next() == ("essays", "b")
        queue.tick()
        hand_in(world, "new")
        queue.tick()
        while (left := queue.next()) != ("checks", "a"):
            queue.tick()
            assert left[1] in {"b", "new"}
        assert world.view("new").status is BatchStatus.READY


def test_thousands_to_be_worked_over_again_leave_room_for_a_new_class(world: World) -> None:
    world.setting("WAVE_LIMIT", "2")
    world.reload()
    hand_in(world, "a", "b", "c")
    world.settle()
    for batch in ("a", "b", "c"):
        reprocess(world.ledger, batch)
    with queue_of(world) as queue:
        queue.tick()
        assert len(queue.waiting()) == 2
        hand_in(world, "new")
        queue.tick()
        assert queue.next() == ("essays", "new")


def test_a_batch_whose_closing_work_waits_in_the_queue_is_not_looked_at(world: World) -> None:
    # 200 of them would be read whole at every tick.
    read: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        read.extend(table for table in ("uploads", "stage_outcomes") if table in statement)

    hand_in(world, "a")
    with queue_of(world) as queue:
        queue.tick()
        queue.next()
        queue.tick()
        assert queue.waiting() == {("closing", "a")}
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        assert evaluate(world, "batch_sensor") == []
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        assert read == []
        assert queue.next() == ("closing", "a")
    assert world.view("a").status is BatchStatus.READY
