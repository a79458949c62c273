"""The acceptance matrix of the requirements, through real sensors, runs and checks."""

from dagster import AssetCheckKey, AssetKey, DagsterRunStatus
from dagster._core.event_api import PartitionKeyFilter

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import Code, EssayOutcome
from huleedu_dagster.pipeline.lifecycle import dead_letters, replay, waive
from tests.support.ledger import deeds
from tests.support.world import GOOD, World

ESSAY_ASSETS = ["raw_upload", "extracted_plaintext", "validation_result", "spellcheck_result"]
BATCH_ASSETS = ["batch_manifest", "batch_release", "batch_report"]


def essays(count: int) -> dict[str, bytes]:
    """So many different good essays."""
    return {
        f"student-{number}/essay.txt": f"{GOOD} Ship number {number} was teh best.".encode()
        for number in range(1, count + 1)
    }


def check_of(world: World, asset: str, name: str, partition: str) -> list[str]:
    """Statuses of the evaluations of a check for one partition, the latest first."""
    history = world.instance.event_log_storage.get_asset_check_execution_history(
        AssetCheckKey(AssetKey(asset), name),
        limit=10,
        partition_filter=PartitionKeyFilter(key=partition),
    )
    return [it.status.value for it in history]


def test_three_good_essays_and_an_empty_one_are_a_ready_batch(world: World) -> None:
    world.register("b1", expected=4)
    world.hand_in("b1", {**essays(3), "student-4/essay.txt": b""})
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.rejected) == (BatchStatus.READY, 3, 1)
    ready = world.events("batch.essays.ready")
    assert [len(it["data"]["ready_essays"]) for it in ready] == [3]
    failed = world.events("essay_validation.failed")
    assert [it["data"]["error_code"] for it in failed] == [Code.EMPTY_CONTENT]
    assert check_of(world, "batch_manifest", "batch_is_complete", "b1") == ["SUCCEEDED"]
    for asset in ESSAY_ASSETS:
        assert world.materialized(asset) == {f"b1|e00{number}" for number in range(1, 5)}
    for asset in BATCH_ASSETS:
        assert world.materialized(asset) == {"b1"}
    assert len(world.runs("process_essays")) == 1
    assert all(run.status is DagsterRunStatus.SUCCESS for run in world.runs())


def test_of_nine_essays_for_seven_slots_two_are_excess_and_all_bytes_are_kept(
    world: World,
) -> None:
    world.register("b1", expected=7)
    files = essays(9)
    receipts = world.hand_in("b1", files)
    world.settle()

    assert [it.slot for it in receipts] == [f"e00{number}" for number in range(1, 8)] + [None] * 2
    view = world.view("b1")
    assert (view.status, view.received, view.ready, view.excess) == (BatchStatus.READY, 7, 7, 2)
    assert [it.essay_id for it in view.essays if it.outcome is EssayOutcome.EXCESS] == [None, None]
    assert len(world.events("excess_content.provisioned")) == 2
    for receipt in receipts:
        key = f"raw_upload_blob/b1/{receipt.upload_id}"
        assert world.blobs.get(key, receipt.sha256) == files[receipt.path]


def test_five_of_seven_essays_time_out_and_are_processed_but_not_released(world: World) -> None:
    world.register("b1", expected=7, timeout_seconds=60)
    world.hand_in("b1", essays(5))
    world.settle()
    assert world.view("b1").status is BatchStatus.RECEIVING
    assert world.events("readiness.timed_out") == []

    world.clock.advance(61)
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.missing) == (BatchStatus.INCOMPLETE, 5, 2)
    (timeout,) = world.events("readiness.timed_out")
    assert timeout["data"]["missing_count"] == 2
    assert timeout["data"]["missing_essay_ids"] == ["e006", "e007"]
    assert timeout["data"]["closed_by"] == "timeout"
    assert check_of(world, "batch_manifest", "batch_is_complete", "b1") == ["FAILED"]
    assert world.materialized("batch_release") == set()
    assert world.materialized("batch_report") == {"b1"}
    assert world.events("batch.essays.ready") == []
    assert dead_letters(world.ledger) == []


def test_waiving_the_missing_essays_releases_an_incomplete_batch(world: World) -> None:
    world.register("b1", expected=3, timeout_seconds=60)
    world.hand_in("b1", essays(2))
    world.clock.advance(61)
    world.settle()
    assert world.view("b1").status is BatchStatus.INCOMPLETE

    waive(world.ledger, "b1", "e003", "ill on the day")
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.missing, view.waived) == (BatchStatus.READY, 2, 0, 1)
    (ready,) = world.events("batch.essays.ready")
    assert ready["data"]["waived_count"] == 1
    assert check_of(world, "batch_manifest", "batch_is_complete", "b1")[0] == "SUCCEEDED"


def test_the_same_uploads_again_change_nothing_and_launch_nothing(world: World) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    world.settle()
    rows, blobs, events, runs = world.rows(), world.blob_keys(), world.events(), world.runs()
    journal = deeds(world.ledger)

    world.hand_in("b1", essays(3))
    world.settle()

    assert world.rows() == rows
    assert deeds(world.ledger) == [*journal, ("system:pipeline", Action.UNCHANGED, 3)]
    assert world.blob_keys() == blobs
    assert world.events() == events
    assert [it.run_id for it in world.runs()] == [it.run_id for it in runs]


def test_a_failing_store_gives_one_dead_letter_and_a_replay_makes_the_batch_ready(
    world: World,
) -> None:
    world.register("b1", expected=4)
    receipts = world.hand_in("b1", essays(4))
    world.blobs.fail("get", f"raw_upload_blob/b1/{receipts[1].upload_id}", times=3)
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.dead_lettered) == (BatchStatus.INCOMPLETE, 3, 1)
    assert view.essays[1].outcome is EssayOutcome.DEAD_LETTERED
    (letter,) = dead_letters(world.ledger)
    assert (letter.slot, letter.attempts, letter.reason) == ("e002", 3, "OSError")
    assert world.materialized("batch_release") == set()
    assert world.materialized("raw_upload") == {"b1|e001", "b1|e003", "b1|e004"}
    failed = [it for it in world.runs("process_essays") if it.is_failure]
    assert len(failed) == 3

    replay(world.ledger, letter.dead_letter_id)
    world.settle()

    view = world.view("b1")
    assert (view.status, view.ready, view.dead_lettered) == (BatchStatus.READY, 4, 0)
    assert dead_letters(world.ledger) == []
    assert len(world.events("batch.essays.ready")) == 1
    assert len(world.events("spellcheck.essay.completed")) == 4


def test_a_new_version_of_one_essay_makes_a_second_revision(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    world.settle()
    before = {asset: world.materialization_count(asset, "b1|e001") for asset in ESSAY_ASSETS}

    world.hand_in("b1", {"student-2/essay.txt": f"{GOOD} A better ending.".encode()})
    world.settle()

    view = world.view("b1")
    assert (view.status, view.received, view.ready) == (BatchStatus.READY, 2, 2)
    revisions = [it["data"]["revision"] for it in world.events("batch.essays.ready")]
    assert revisions == [1, 2]
    provisioned = world.events("essay_content.provisioned")
    assert [it["data"]["essay_version"] for it in provisioned] == [1, 1, 2]
    after = {asset: world.materialization_count(asset, "b1|e001") for asset in ESSAY_ASSETS}
    assert after == before
