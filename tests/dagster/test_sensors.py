"""The sensors: level-triggered, bounded, and healing what died."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.sensor import MIN_INTERVAL_LOOP_TIME

from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.orchestration.in_process import TickFailedError
from huleedu_dagster.pipeline.lifecycle import change_settings, close, dead_letters
from huleedu_dagster.pipeline.results import release, write_manifest
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.settings import Settings
from tests.dagster.test_acceptance import essays
from tests.support import world_defs
from tests.support.boundary import refuse_listing
from tests.support.evaluating import evaluate
from tests.support.runs import begun, die
from tests.support.world import GOOD, World

CRASH = Path(__file__).parents[1] / "support" / "crash.py"


def test_the_upload_sensor_asks_for_the_same_run_until_the_work_is_done(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))

    first = evaluate(world, "upload_sensor")
    assert len(first) == 1
    assert evaluate(world, "upload_sensor") == first

    world.tick()
    assert evaluate(world, "upload_sensor") == []


def test_a_sensor_is_due_whenever_dagster_looks() -> None:
    # Dagster's looks are not exactly that far apart: a sensor that must wait as long is passed by
    # now and then, and its work waits for the look after.
    interval: int = Settings.model_fields["sensor_interval_seconds"].default
    assert interval < MIN_INTERVAL_LOOP_TIME


def test_ticking_twice_launches_one_run_for_a_batch(world: World) -> None:
    world.register("b1", expected=5)
    world.hand_in("b1", essays(2))
    world.tick(times=2)
    assert len(world.runs("process_essays")) == 1

    world.hand_in("b1", essays(4))
    world.tick(times=2)
    second = world.runs("process_essays")[0]
    config: Any = second.run_config
    assert config["ops"]["essays"]["config"]["slots"] == ["e003", "e004"]
    assert second.tags["dagster/asset_partition_range_start"] == "b1|e003"


def test_essays_survive_a_crash_between_adding_partitions_and_launching_the_run(
    world: World,
) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))

    died = subprocess.run([sys.executable, str(CRASH)], capture_output=True, timeout=60)

    assert died.returncode == -9, died.stderr.decode()
    assert world.instance.has_dynamic_partition("batch", "b1")
    assert len(world.instance.get_dynamic_partitions("essay")) == 3
    assert world.runs() == []
    world.settle()
    view = world.view("b1")
    assert (view.status, view.ready) == (BatchStatus.READY, 3)
    assert len(world.runs("process_essays")) == 1


def test_essays_that_a_run_works_on_are_not_asked_for_again(world: World) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))
    run = create_run_for_test(
        world.instance,
        job_name="process_essays",
        status=DagsterRunStatus.STARTED,
        run_config={"ops": {"essays": {"config": {"slots": ["e001", "e002", "e003"]}}}},
        tags={"huleedu/batch": "b1", "huleedu/kind": "essays"},
    )
    assert evaluate(world, "upload_sensor") == []

    world.instance.report_run_failed(run, "gone")
    assert len(evaluate(world, "upload_sensor")) == 1


def test_a_run_that_died_is_counted_once_and_its_essays_are_done_by_the_next(
    world: World,
) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(2))
    (key,) = evaluate(world, "upload_sensor")
    run = begun(world, "b1", "e001", "e002", key=key)

    assert world.daemon.fail_orphans() == 1
    world.settle()

    assert world.view("b1").status is BatchStatus.READY
    with world.ledger.read() as tx:
        assert tx.failures.counted(run.run_id) == {"e001", "e002"}
    assert world.rows()["attempts"] == 2
    world.settle()
    assert world.rows()["attempts"] == 2


def test_what_a_dead_run_had_done_is_emitted_again_and_not_computed_again(
    world: World,
) -> None:
    world.register("b1", expected=3)
    world.hand_in("b1", essays(3))

    died = subprocess.run([sys.executable, str(CRASH), "emit"], timeout=60)

    assert died.returncode == -9
    assert world.view("b1").ready == 3, "the ledger has what the run did"
    assert world.materialized("spellcheck_result") == set(), "and Dagster does not show it"
    rows = world.rows()["stage_outcomes"]
    assert world.daemon.fail_orphans() == 1
    world.settle()
    assert world.materialized("spellcheck_result") == {f"b1|e00{number}" for number in (1, 2, 3)}
    assert world.rows()["stage_outcomes"] == rows
    assert len(world.events("spellcheck.essay.completed")) == 3
    assert world.view("b1").status is BatchStatus.READY
    runs = world.daemon.run_count()
    world.tick(times=2)
    assert world.daemon.run_count() == runs


def test_closing_work_whose_events_were_lost_is_emitted_again(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.instance.add_dynamic_partitions("batch", ["b1"])
    world.instance.add_dynamic_partitions("essay", ["e001"])
    assert world.execute("process_essays", first="b1|e001", last="b1|e001").success
    write_manifest(world.ledger, world.blobs, "b1")
    write_batch_report(world.ledger, world.blobs, "b1")
    release(world.ledger, "b1")
    assert world.view("b1").status is BatchStatus.READY
    die(world, begun(world, "b1"))
    world.settle()

    assert world.materialized("batch_release") == {"b1"}
    assert len(world.events("batch.essays.ready")) == 1
    assert world.view("b1").status is BatchStatus.READY


def test_runs_that_keep_dying_end_in_dead_letters(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    for _ in range(world.settings.max_attempts):
        die(world, begun(world, "b1", "e001"))
    evaluate(world, "failure_sensor")

    (letter,) = dead_letters(world.ledger)
    assert (letter.slot, letter.attempts, letter.reason) == ("e001", 3, "run failure")
    world.settle()
    assert world.view("b1").status is BatchStatus.INCOMPLETE


def test_a_store_that_fails_at_the_closing_work_ends_in_a_dead_letter_of_the_batch(
    world: World,
) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    world.blobs.fail("put", "batch_manifest/", times=3)
    world.settle()

    (letter,) = dead_letters(world.ledger)
    assert letter.slot == "batch"
    assert world.view("b1").status is BatchStatus.INCOMPLETE
    assert world.materialized("batch_release") == set()


def test_a_failed_completeness_check_is_no_attempt_and_no_dead_letter(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    close(world.ledger, "b1", ClosedBy.REQUEST)
    world.settle()

    assert world.view("b1").status is BatchStatus.INCOMPLETE
    assert len(world.runs("finalise_batch")) == 1
    assert world.rows()["attempts"] == 0
    assert dead_letters(world.ledger) == []


def test_settings_are_reported_to_dagster_once_and_again_when_they_change(
    world: World,
) -> None:
    world.register("b1")
    world.tick(times=3)
    assert world.materialization_count("batch_registration", "b1") == 1

    change_settings(world.ledger, "b1", BatchSettings(max_words=500))
    world.tick(times=3)
    assert world.materialization_count("batch_registration", "b1") == 2
    latest = world.instance.get_latest_data_version_record(
        AssetKey("batch_registration"), partition_key="b1"
    )
    assert latest is not None
    assert latest.asset_materialization is not None
    version = BatchSettings(max_words=500).data_version
    assert (latest.asset_materialization.tags or {})["dagster/data_version"] == version


def test_an_inbox_that_cannot_be_listed_stops_no_class(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.settings.inbox_folder.mkdir(exist_ok=True)
    world.register("b1", expected=1)
    world.hand_in("b1", essays(1))
    refuse_listing(monkeypatch, world.settings.inbox_folder.name)

    assert len(evaluate(world, "upload_sensor")) == 1
    world.tick()
    with pytest.raises(TickFailedError):
        world.tick()
    assert world.view("b1").status is BatchStatus.READY


def test_a_folder_in_the_inbox_becomes_a_batch_that_closes_when_it_is_quiet(
    world: World,
) -> None:
    folder = world.settings.inbox_folder / "class-7b"
    folder.mkdir(parents=True)
    for name, data in essays(3).items():
        (folder / name.replace("/", "-")).write_bytes(data)
    world.tick(times=2)

    view = world.view("class-7b")
    assert (view.status, view.received, view.ready) == (BatchStatus.RECEIVING, 3, 3)
    assert view.expected is None

    world.clock.advance(world.settings.inbox_quiet_seconds + 1)
    world.settle()
    assert world.view("class-7b").status is BatchStatus.READY


def test_a_complete_file_closes_an_inbox_folder_at_once(world: World) -> None:
    folder = world.settings.inbox_folder / "class-7b"
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text(GOOD)
    (folder / ".complete").touch()
    world.settle()
    assert world.view("class-7b").status is BatchStatus.READY


def test_a_deadline_closes_a_batch_that_nobody_closes(world: World) -> None:
    deadline = world.clock.now + timedelta(hours=1)
    world.register("b1", deadline=deadline)
    world.hand_in("b1", essays(1))
    world.settle()
    assert world.view("b1").status is BatchStatus.RECEIVING

    world.clock.advance(3601)
    world.settle()
    assert world.view("b1").status is BatchStatus.READY
    with world.ledger.read() as tx:
        assert tx.batches.get("b1").closed_by is ClosedBy.DEADLINE


@pytest.mark.parametrize("name", ["upload_sensor", "batch_sensor", "failure_sensor"])
def test_every_sensor_runs_by_default_and_asks_for_nothing_when_there_is_nothing(
    world: World, name: str
) -> None:
    sensor = world_defs.defs().get_repository_def().get_sensor_def(name)
    assert sensor.default_status.value == "RUNNING"
    assert evaluate(world, name) == []
