"""Our own essay job under Dagster's multiprocess executor: each step a process with a sandbox."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import (
    AssetSelection,
    DagsterEventType,
    Definitions,
    define_asset_job,
    definitions,
    execute_job,
    multiprocess_executor,
)
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._utils.warnings import PreviewWarning

from huleedu_dagster.definitions import build_defs
from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage
from huleedu_dagster.settings import Settings
from tests.factory.nasty import crashing_pdf
from tests.support import world_defs
from tests.support.sandboxes import sandbox_processes, sandbox_processes_under, wait_until
from tests.support.world import GOOD, World, range_tags
from tests.support.worlds import world_on

_JOB = "process_essays_apart"


@definitions
def apart() -> Definitions:
    """The installation of the environment, and its essay job with steps in other processes."""
    settings = Settings()
    speller = world_defs.resources()["speller"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)
        ours = build_defs(settings, {"speller": speller})
    job = define_asset_job(
        _JOB,
        selection=AssetSelection.assets(*(stage.value for stage in Stage)).without_checks(),
        executor_def=multiprocess_executor,
    )
    return Definitions.merge(ours, Definitions(jobs=[job]))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def world(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """An installation with Dagster's events on a kind of database."""
    with world_on(request.param, tmp_path / "home", monkeypatch) as found:
        yield found


def test_the_essay_job_reads_in_a_process_of_its_own_and_leaves_no_sandbox(world: World) -> None:
    world.register("b1", expected=3)
    files = {
        "student-1/essay.txt": f"{GOOD} The first.".encode(),
        "student-2/essay.pdf": crashing_pdf(),
        "student-3/essay.txt": f"{GOOD} The third.".encode(),
    }
    world.hand_in("b1", files)
    world.instance.add_dynamic_partitions("batch", ["b1"])
    world.instance.add_dynamic_partitions("essay", ["e001", "e002", "e003"])
    ours = sandbox_processes()

    job = ReconstructableRepository.for_module(__name__, "apart").get_reconstructable_job(_JOB)
    with execute_job(job, world.instance, tags=range_tags("b1|e001", "b1|e003")) as result:
        assert result.success
        (begun,) = result.filter_events(
            lambda it: it.event_type is DagsterEventType.STEP_WORKER_STARTED
        )
        assert begun.step_key == "essays"

    cells = {"b1|e001", "b1|e002", "b1|e003"}
    assert all(world.materialized(stage.value) == cells for stage in Stage)
    view = world.view("b1")
    assert (view.ready, view.rejected) == (2, 1)
    rejected = {it.essay_id: it.code for it in view.essays if it.outcome is EssayOutcome.REJECTED}
    assert rejected == {"e002": Code.PARSER_CRASHED}
    assert sandbox_processes() == ours
    home = str(world.settings.home)
    wait_until(lambda: not (sandbox_processes_under("HULEEDU_HOME", home) - ours))
