"""Attacks among good essays, through sensors, runs and checks, read by guarded workers."""

from dagster import DagsterRunStatus

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage
from huleedu_dagster.pipeline.essay_views import essay_view
from huleedu_dagster.pipeline.lifecycle import dead_letters
from tests.dagster.test_backfills import latest_metadata
from tests.factory.nasty_folder import by_path, one_of_each
from tests.support.sandboxes import sandbox_processes
from tests.support.world import World

_HANGING = by_path("hang/10^9 forms.pdf")
_CRASHING = by_path("crash/colours in colours.pdf")
_REJECTED = {_HANGING.path: Code.TIMEOUT, _CRASHING.path: Code.PARSER_CRASHED}


def test_a_file_that_hangs_and_one_that_crashes_cost_their_essay_and_no_other(
    world: World,
) -> None:
    world.setting("EXTRACTION_CPU_SECONDS", "1")
    world.reload()
    cases = [*one_of_each()]
    cases.insert(2, _HANGING)
    cases.insert(12, _CRASHING)
    before = sandbox_processes()
    world.register("b1", expected=22)
    world.hand_in("b1", {it.path: it.build() for it in cases})
    world.settle()

    (run,) = world.runs("process_essays")
    assert run.status is DagsterRunStatus.SUCCESS
    _has_each_its_result(world)
    for number, case in enumerate(cases, start=1):
        view = essay_view(world.ledger, world.blobs, "b1", f"e{number:03d}")
        assert (view["file_name"], view["text"]) == (case.path, case.text)
    assert len(world.events("batch.essays.ready")) == 1
    # One fork server, and no more idle workers than there are at work at the same time.
    left = len(sandbox_processes() - before)
    assert 2 <= left <= 1 + world.settings.extraction_workers

    # What is tried again is measured again.
    measured = {"metric_sums": 0}
    events, rows = world.events(), world.rows() | measured
    again = world.execute("process_essays", first="b1|e001", last="b1|e022")
    world.settle()

    assert again.success
    _has_each_its_result(world)
    assert world.events() == events
    assert world.rows() | measured == rows
    # Done once is done for the good ones; what may have been due to load is tried again.
    tried = {it for it in range(1, 23) if _is_computed(world, f"e{it:03d}")}
    assert tried == {3, 13}


def _has_each_its_result(world: World) -> None:
    view = world.view("b1")
    assert (view.status, view.ready, view.rejected) == (BatchStatus.READY, 20, 2)
    rejected = {it.file_name: it.code for it in view.essays if it.outcome is EssayOutcome.REJECTED}
    assert rejected == _REJECTED
    assert dead_letters(world.ledger) == []


def _is_computed(world: World, slot: str) -> bool:
    """Whether the latest materialization of a text is of new work."""
    found = latest_metadata(world, Stage.EXTRACTED_PLAINTEXT, f"b1|{slot}")
    return bool(found["computed"])
