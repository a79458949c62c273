"""Defects that a review found in the sensors, the settings and the counting of attempts."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from huleedu_dagster.assets.registration import registration_event
from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.domain.ids import MAX_PATH_LENGTH
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.orchestration.in_process import TickFailedError
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.lifecycle import change_settings, close, dead_letters, waive
from tests.dagster.test_acceptance import check_of, essays
from tests.dagster.test_backfills import backfill, ready_batch
from tests.dagster.test_staleness import staleness
from tests.support.evaluating import evaluate
from tests.support.world import GOOD, World

CELLS = [f"b1|e00{number}" for number in (1, 2, 3)]


def inbox_folder(world: World) -> Path:
    """A folder of the inbox, made."""
    folder = world.settings.inbox_folder / "class-7b"
    folder.mkdir(parents=True)
    return folder


def incomplete_batch(world: World, essay_count: int, expected: int) -> None:
    """A batch that was closed before all its essays came."""
    world.register("b1", expected=expected)
    world.hand_in("b1", essays(essay_count))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()
    assert world.view("b1").status is BatchStatus.INCOMPLETE


def test_a_setting_changed_and_changed_back_ends_ready_again(world: World) -> None:
    ready_batch(world)
    for words in (("teh",), ()):
        change_settings(world.ledger, "b1", BatchSettings(word_list=words))
        world.settle()
        backfill(world, ["validation_result", "spellcheck_result"], CELLS)
        world.settle()

    assert world.view("b1").status is BatchStatus.READY
    revisions = [it["data"]["revision"] for it in world.events("batch.essays.ready")]
    assert revisions == [1, 2, 3]


def test_a_run_started_again_with_another_configuration_stops_no_sensor(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    world.settle()
    run = create_run_for_test(
        world.instance,
        job_name="process_essays",
        status=DagsterRunStatus.STARTED,
        run_config={"ops": {"essays": {"config": {"force": True}}}},
        tags={"huleedu/batch": "b1", "huleedu/kind": "essays"},
    )
    assert evaluate(world, "upload_sensor") == []

    world.instance.report_run_failed(run, "gone")
    world.hand_in("b1", essays(2))
    world.settle()

    assert world.view("b1").status is BatchStatus.READY


def test_slots_that_dagster_knows_in_another_order_are_all_processed(world: World) -> None:
    world.instance.add_dynamic_partitions("essay", ["e003"])
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    assert world.materialized("raw_upload") == set(CELLS)
    assert len(world.runs("process_essays")) == 1


def test_a_ledger_that_fails_tells_dagster_no_file_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor where somebody lets Dagster keep the messages of errors.
    monkeypatch.delenv("DAGSTER_REDACT_USER_CODE_ERRORS")
    canary = "Quetzalcoatlus"
    (inbox_folder(world) / f"{canary}-Smith.txt").write_text(GOOD)
    with world.ledger.write() as tx:
        tx.connection.exec_driver_sql(
            "create trigger full before insert on uploads "
            "begin select raise(abort, 'database or disk is full'); end"
        )

    with pytest.raises(TickFailedError):
        world.tick()

    files = [it for it in world.settings.dagster_folder.rglob("*") if it.is_file()]
    stored = {it.name: it.read_bytes().lower() for it in files}
    assert any(b"disk is full" in data for data in stored.values()), "the tick's error is stored"
    assert [name for name, data in stored.items() if canary.lower().encode() in data] == []


def test_a_zip_member_too_long_only_with_its_prefix_stops_no_sensor(world: World) -> None:
    member = "a" * (MAX_PATH_LENGTH - len("klass.zip")) + ".txt"
    assert len(member) <= MAX_PATH_LENGTH < len(f"klass.zip/{member}")
    folder = inbox_folder(world)
    with zipfile.ZipFile(folder / "klass.zip", "w") as archive:
        archive.writestr(member, GOOD)
    (folder / "other.txt").write_text(GOOD)
    (folder / ".complete").touch()
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    view = world.view("class-7b")
    assert (view.received, view.ready, view.rejected) == (2, 1, 1), "kept, and rejected as it is"


def test_a_waiver_of_a_missing_essay_covers_no_later_dead_letter(world: World) -> None:
    incomplete_batch(world, 1, expected=2)
    waive(world.ledger, "b1", "e002", "ill")
    world.settle()
    assert world.view("b1").status is BatchStatus.READY

    world.clock.advance(60)
    world.intake.reopen("b1")
    receipts = world.hand_in("b1", essays(2))
    world.blobs.fail("get", f"raw_upload_blob/b1/{receipts[1].upload_id}")
    world.settle()

    view = world.view("b1")
    assert (view.status, view.dead_lettered, view.waived) == (BatchStatus.INCOMPLETE, 1, 0)
    assert view.essays[1].outcome is EssayOutcome.DEAD_LETTERED
    assert len(world.events("batch.essays.ready")) == 1


def test_settings_published_during_a_run_leave_its_results_stale(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = EssayPipeline.process
    changes = [BatchSettings(max_words=500)]

    def process_and_change(self: EssayPipeline, *args: Any, **more: Any) -> Any:
        result = process(self, *args, **more)
        while changes:
            found = changes.pop()
            change_settings(world.ledger, "b1", found)
            world.instance.report_runless_asset_event(registration_event("b1", found))
        return result

    world.register("b1", expected=2)
    world.tick()
    monkeypatch.setattr(EssayPipeline, "process", process_and_change)
    world.hand_in("b1", essays(2))
    world.settle()

    assert changes == []
    assert staleness(world, "b1|e002")["validation_result"] == "STALE"


def test_a_run_with_settings_that_no_sensor_published_yet_gives_fresh_results(
    world: World,
) -> None:
    world.register("b1", expected=2)
    world.tick(times=2)
    world.hand_in("b1", essays(1))
    world.settle()
    change_settings(world.ledger, "b1", BatchSettings(word_list=("teh",)))

    assert world.execute("process_essays", first="b1|e001", last="b1|e001").success
    world.settle()

    assert set(staleness(world, "b1|e001").values()) == {"FRESH"}


def test_a_check_that_cannot_be_made_stops_no_check_of_another_essay(world: World) -> None:
    ready_batch(world)
    with world.ledger.read() as tx:
        essay = tx.essays.in_slot("b1", "e001")
    assert essay is not None
    world.blobs.fail("get", essay.upload.blob_key)

    result = world.execute("check_essays", first="b1|e001", last="b1|e003")

    assert not result.success
    found = [check_of(world, "raw_upload", "raw_blob_is_intact", cell)[0] for cell in CELLS]
    assert found == ["PLANNED", "SUCCEEDED", "SUCCEEDED"]


def test_batches_that_were_given_up_keep_no_other_batch_from_closing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huleedu_dagster.sensors.batches._BATCHES_PER_TICK", 2)
    for batch in ("b1", "b2"):
        world.blobs.fail("put", f"batch_manifest/{batch}", times=3)
        world.register(batch, expected=1)
        world.hand_in(batch, essays(1))
    world.settle()
    assert {it.batch_id for it in dead_letters(world.ledger)} == {"b1", "b2"}

    world.clock.advance(5)
    world.register("b3", expected=1)
    world.hand_in("b3", essays(1))
    world.settle()

    assert world.view("b3").status is BatchStatus.READY


def test_a_failed_completeness_check_is_no_attempt_when_the_facts_changed_since(
    world: World,
) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()
    waive(world.ledger, "b1", "e002", "ill")

    evaluate(world, "failure_sensor")

    assert world.rows()["attempts"] == 0


def test_a_waiver_after_a_failed_check_makes_a_batch_ready_though_one_attempt_is_allowed(
    world: World,
) -> None:
    world.setting("MAX_ATTEMPTS", "1")
    world.reload()
    incomplete_batch(world, 1, expected=2)
    waive(world.ledger, "b1", "e002", "ill")

    evaluate(world, "failure_sensor")
    world.settle()

    assert dead_letters(world.ledger) == []
    assert world.view("b1").status is BatchStatus.READY


def test_a_batch_that_was_incomplete_several_times_is_ready_after_a_waiver(
    world: World,
) -> None:
    world.register("b1", expected=4)
    for count in (1, 2, 3):
        world.intake.reopen("b1")
        world.hand_in("b1", essays(count))
        close(world.ledger, "b1", ClosedBy.REQUEST)
        world.settle()
        assert world.view("b1").status is BatchStatus.INCOMPLETE

    waive(world.ledger, "b1", "e004", "ill")
    world.settle()

    assert dead_letters(world.ledger) == []
    assert world.view("b1").status is BatchStatus.READY
