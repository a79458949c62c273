"""Attacks among good essays, through sensors, runs and checks, read by guarded workers."""

from dagster import DagsterRunStatus

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import Code, EssayOutcome
from huleedu_dagster.pipeline.lifecycle import dead_letters
from tests.dagster.test_acceptance import essays
from tests.factory.nasty import crashing_pdf, nested_forms_pdf
from tests.support.sandboxes import sandbox_processes
from tests.support.world import World


def test_a_file_that_hangs_and_one_that_crashes_cost_their_essay_and_no_other(
    world: World,
) -> None:
    world.setting("EXTRACTION_CPU_SECONDS", "1")
    world.reload()
    good = essays(6)
    files = list(good.items())
    files.insert(2, ("student-7/essay.pdf", nested_forms_pdf()))
    files.insert(4, ("student-8/essay.pdf", crashing_pdf()))
    before = sandbox_processes()
    world.register("b1", expected=8)
    world.hand_in("b1", dict(files))
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.rejected) == (BatchStatus.READY, 6, 2)
    rejected = {it.essay_id: it.code for it in view.essays if it.outcome is EssayOutcome.REJECTED}
    assert rejected == {"e003": Code.TIMEOUT, "e005": Code.PARSER_CRASHED}
    assert dead_letters(world.ledger) == []
    (run,) = world.runs("process_essays")
    assert run.status is DagsterRunStatus.SUCCESS
    assert len(world.events("batch.essays.ready")) == 1
    # One fork server and one idle worker, shared by all runs of this process with these limits.
    assert len(sandbox_processes() - before) == 2
