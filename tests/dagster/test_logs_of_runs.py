"""What runs and sensors say: in the log with keys, on the page of the run in a sentence."""

import errno
import re

import pytest
from dagster import DagsterEventType

from huleedu_dagster.assets.batches import MANIFEST
from huleedu_dagster.jobs import CLOSING_JOB, ESSAY_JOB
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.storage.port import StoreServerError
from tests.support.lines import captured
from tests.support.world import GOOD, World


def essay_of(world: World, batch: str, slot: str) -> Essay:
    """An essay as the ledger has it."""
    with world.ledger.read() as tx:
        found = tx.essays.in_slot(batch, slot)
    assert found is not None
    return found


def shown(world: World, run_id: str) -> list[str]:
    """What the page of a run shows beside Dagster's own events."""
    entries = [it.event_log_entry for it in world.instance.get_records_for_run(run_id).records]
    return [it.user_message for it in entries if it.dagster_event is None]


def test_an_essay_is_one_line_at_info_and_none_in_dagsters_event_log(world: World) -> None:
    world.register("b1", expected=1)
    world.hand_in("b1", {"Ida Lind.txt": GOOD.encode()})
    with captured(20) as lines:
        world.tick()
    (line,) = lines(phase="essay")
    (run,) = world.runs(ESSAY_JOB)
    essay = essay_of(world, "b1", "e001")
    assert (line["batch_id"], line["essay_id"], line["run_id"]) == ("b1", "e001", run.run_id)
    assert line["corr_id"] == essay.upload.correlation_id
    assert (line["status"], line["computed"]) == ("accepted", 4)
    assert lines(phase="raw_upload") == []
    assert [it["essays"] for it in lines(phase="run")] == [1]
    (asked,) = lines(phase="sensor", kind="essays")
    assert (asked["corr_id"], asked["run_key"]) == (line["corr_id"], run.tags["dagster/run_key"])
    assert shown(world, run.run_id) == []
    assert "lind" not in lines.text.lower()


def test_a_failure_is_on_the_page_of_its_run_and_in_the_log_without_its_message(
    world: World,
) -> None:
    world.register("b1", expected=1)
    (receipt,) = world.hand_in("b1", {"a.txt": GOOD.encode()})
    world.blobs.fail("get", f"raw_upload_blob/b1/{receipt.upload_id}")
    with captured() as lines:
        world.tick()
    (run,) = world.runs(ESSAY_JOB)
    (line,) = lines(phase="essay", status="failed")
    assert (line["essay_id"], line["run_id"]) == ("e001", run.run_id)
    assert line["trace"]
    assert shown(world, run.run_id) == [f"essay e001 of b1 failed: {line['reason']}"]
    failures = world.instance.get_records_for_run(
        run.run_id, of_type=DagsterEventType.STEP_FAILURE
    ).records
    assert len(failures) == 1


def test_a_check_without_a_verdict_is_a_line_that_says_why(world: World) -> None:
    world.register("b1", expected=1)
    (receipt,) = world.hand_in("b1", {"a.txt": GOOD.encode()})
    world.settle()
    world.blobs.fail("get", f"raw_upload_blob/b1/{receipt.upload_id}")
    with captured() as lines:
        result = world.execute("check_essays", first="b1|e001", last="b1|e001")
    assert not result.success
    found = lines(phase="raw_blob_is_intact")
    assert [(it["essay_id"], it["status"], it["run_id"]) for it in found] == [
        ("e001", "failed", result.run_id)
    ]
    assert found[0]["reason"] == "OSError"
    assert found[0]["trace"]
    assert (
        shown(world, result.run_id)
        == [
            "raw_blob_is_intact of essay e001 of b1 failed: OSError",
            "extraction_is_reproducible of essay e001 of b1 failed: OSError",
        ][::-1]
    )


def error_shown(world: World, run_id: str) -> str:
    """What the page of a run says of the error that ended it."""
    (failure,) = world.instance.get_records_for_run(
        run_id, of_type=DagsterEventType.STEP_FAILURE
    ).records
    event = failure.event_log_entry.dagster_event
    assert event is not None
    error = event.step_failure_data.error
    assert error is not None
    return error.to_string()


def test_the_page_of_a_run_says_in_a_sentence_that_the_s3_server_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = "the S3 server cannot be reached (ProtocolError); see HULEEDU_S3_ENDPOINT"

    as_ever = world.blobs.put

    def put(key: str, data: bytes) -> None:
        if key.startswith("batch_manifest/"):
            raise StoreServerError(errno.EHOSTUNREACH, sentence)
        as_ever(key, data)

    monkeypatch.setattr(world.blobs, "put", put)
    world.register("b1", expected=1)
    world.hand_in("b1", {"a.txt": GOOD.encode()})
    world.tick(3)
    assert sentence in error_shown(world, world.runs(CLOSING_JOB)[-1].run_id)


def test_the_number_of_an_error_on_dagsters_page_finds_its_line(world: World) -> None:
    world.blobs.fail("put", "batch_manifest/b1", times=1)
    world.register("b1", expected=1)
    world.hand_in("b1", {"a.txt": GOOD.encode()})
    with captured() as lines:
        world.tick(3)
    run = world.runs(CLOSING_JOB)[-1]
    shown_there = error_shown(world, run.run_id)
    (number,) = re.findall(r"error ID ([0-9a-f-]{36})", shown_there)
    (line,) = [it for it in lines() if number in it["event"]]
    assert line["reason"]
    assert line["trace"]
    assert lines(phase=MANIFEST, run_id=run.run_id, status="failed")
