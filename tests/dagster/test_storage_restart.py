"""Dagster's Postgres goes away in the middle of a run, for a moment or for longer."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster import AssetMaterialization, DagsterRunStatus

from huleedu_dagster.assets.emission import BatchEmission
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.orchestration.in_process import TickFailedError
from huleedu_dagster.pipeline.essays import EssayResult
from tests.support.restarts import RestartableServer
from tests.support.world import GOOD, World

pytestmark = pytest.mark.slow

_LONG_SECONDS = 3.0
"""Dagster tries for a second to connect."""
_CELLS = {"b1|e001", "b1|e002", "b1|e003"}


@pytest.fixture
def server() -> Iterator[RestartableServer]:
    """A server that nobody else uses."""
    found = RestartableServer()
    yield found
    found.close()


@pytest.fixture
def world(
    server: RestartableServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """An installation with Dagster's events on that server."""
    monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", server.url)
    with World(tmp_path / "home", monkeypatch) as found:
        yield found


@pytest.mark.parametrize(("away", "at"), [(0.0, 2), (0.0, 5), (0.0, 11), (_LONG_SECONDS, 5)])
def test_a_server_that_restarts_in_the_middle_of_a_run_costs_at_most_that_run(
    away: float,
    at: int,
    world: World,
    server: RestartableServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events, left = BatchEmission.events, [at]
    back = threading.Timer(away, server.start)

    def interrupted(
        self: BatchEmission, results: Sequence[EssayResult]
    ) -> Iterator[AssetMaterialization]:
        for it in events(self, results):
            yield it
            left[0] -= 1
            if left[0] == 0:
                server.stop()
                back.start()
                if not away:
                    back.join(60)

    monkeypatch.setattr(BatchEmission, "events", interrupted)
    world.register("b1", expected=3)
    world.hand_in("b1", {f"{it}/essay.txt": f"{GOOD} {it}".encode() for it in "abc"})
    with suppress(sa.exc.OperationalError, TickFailedError):
        world.tick()
    assert left[0] <= 0, "the server was never stopped"
    back.join(60)

    shown = [world.materialized(stage.value) for stage in Stage]
    (run,) = world.runs("process_essays")
    complete = all(it == _CELLS for it in shown)
    assert complete or run.status is not DagsterRunStatus.SUCCESS
    assert complete or due(world), "the ledger was told of events that are not stored"
    computed = world.rows()["stage_outcomes"]
    assert computed == len(_CELLS) * len(Stage)

    world.daemon.fail_orphans()
    world.settle()
    for stage in Stage:
        assert world.materialized(stage.value) == _CELLS
    assert world.rows()["stage_outcomes"] == computed
    assert world.view("b1").status is BatchStatus.READY


def due(world: World) -> set[str]:
    """Slots whose events are to be emitted still."""
    with world.ledger.read() as tx:
        return {it.slot for it in tx.essays.of_batch("b1") if it.due}
