"""Manifest, report, release, and what a reader is told."""

import json

import pytest

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.essays import record_attempt
from huleedu_dagster.pipeline.results import (
    NotReadyError,
    note_if_reported,
    release,
    write_manifest,
)
from huleedu_dagster.reports.batch import write_batch_report
from tests.support.ledger import all_rows, events
from tests.support.workshop import GOOD, Workshop

READY = "essays.ready"


@pytest.fixture
def done(shop: Workshop) -> Workshop:
    """Three good essays and an empty one, all processed; nothing reported yet."""
    shop.register(expected=4)
    for number in range(3):
        shop.receive(f"{number}.txt", GOOD + str(number).encode())
    shop.receive("empty.txt", b"")
    shop.process_pending()
    return shop


def status(shop: Workshop) -> BatchStatus:
    return shop.view().status


def latest_report(shop: Workshop, kind: ContentType) -> str:
    with shop.ledger.read() as tx:
        key = tx.results.latest_blob("class-a", kind)
    assert key is not None
    return (shop.folder / "blobs" / key).read_text(encoding="utf-8")


def test_three_good_essays_and_an_empty_one_are_released_with_three_ready(done: Workshop) -> None:
    found = done.release()
    (event,) = events(done.ledger, READY)
    assert [it["essay_id"] for it in event["ready_essays"]] == ["e001", "e002", "e003"]
    assert (event["revision"], event["rejected_count"], event["expected_count"]) == (1, 1, 4)
    assert event["manifest_storage_id"] == found.manifest_blob
    (failed,) = events(done.ledger, "essay_validation")
    assert failed["error_code"] == "EMPTY_CONTENT"


def test_the_same_facts_give_the_same_manifest_and_report_whenever_they_are_written(
    done: Workshop,
) -> None:
    first = (
        write_manifest(done.ledger, done.blobs, "class-a"),
        write_batch_report(done.ledger, done.blobs, "class-a"),
    )
    blobs = done.blob_hashes()
    done.clock.advance(10_000)
    again = (
        write_manifest(done.ledger, done.blobs, "class-a"),
        write_batch_report(done.ledger, done.blobs, "class-a"),
    )
    assert again == first
    assert done.blob_hashes() == blobs


def test_the_manifest_names_no_file_and_no_moment(done: Workshop) -> None:
    stored = write_manifest(done.ledger, done.blobs, "class-a")
    text = done.blobs.get(stored.blob_key, stored.sha256).decode()
    assert ".txt" not in text
    assert "2026" not in text
    assert len(json.loads(text)["essays"]) == 4


def test_the_same_facts_are_released_once(done: Workshop) -> None:
    first = done.release()
    before = all_rows(done.ledger)
    done.clock.advance(60)
    assert done.release() == first
    assert all_rows(done.ledger) == before


def test_a_batch_is_told_to_be_processing_until_all_of_it_is_stored(done: Workshop) -> None:
    assert status(done) is BatchStatus.PROCESSING
    write_manifest(done.ledger, done.blobs, "class-a")
    write_batch_report(done.ledger, done.blobs, "class-a")
    assert status(done) is BatchStatus.PROCESSING
    with done.ledger.write() as tx:
        assert not note_if_reported(tx, "class-a")
    release(done.ledger, "class-a")
    assert status(done) is BatchStatus.READY
    with done.ledger.write() as tx:
        assert note_if_reported(tx, "class-a")


def test_an_open_batch_is_receiving_and_a_closed_one_with_work_left_processing(
    shop: Workshop,
) -> None:
    shop.register(expected=2)
    assert status(shop) is BatchStatus.RECEIVING
    shop.receive("a.txt")
    assert status(shop) is BatchStatus.RECEIVING
    shop.close()
    assert status(shop) is BatchStatus.PROCESSING


def test_an_incomplete_batch_has_a_report_and_no_release(shop: Workshop) -> None:
    shop.register(expected=7)
    for number in range(5):
        shop.receive(f"{number}.txt", GOOD + str(number).encode())
    shop.close()
    shop.process_pending()
    write_manifest(shop.ledger, shop.blobs, "class-a")
    write_batch_report(shop.ledger, shop.blobs, "class-a")
    assert status(shop) is BatchStatus.INCOMPLETE
    with pytest.raises(NotReadyError):
        release(shop.ledger, "class-a")
    assert (shop.view().ready, shop.view().missing) == (5, 2)
    assert events(shop.ledger, READY) == []


@pytest.mark.parametrize("why", ["open", "pending", "dead letter", "no manifest", "old manifest"])
def test_release_evaluates_the_rule_itself(shop: Workshop, why: str) -> None:
    shop.register()
    shop.receive("a.txt")
    if why == "dead letter":
        shop.fail_until_dead()
    elif why != "pending":
        shop.process()
    if why == "old manifest":
        write_manifest(shop.ledger, shop.blobs, "class-a")
        shop.receive("b.txt")
        shop.process_pending()
    if why != "open":
        shop.close()
    if why not in ("no manifest", "old manifest"):
        write_manifest(shop.ledger, shop.blobs, "class-a")
    before = all_rows(shop.ledger)
    with pytest.raises(NotReadyError):
        release(shop.ledger, "class-a")
    assert all_rows(shop.ledger) == before


def test_a_waived_batch_is_released_with_the_number_of_its_waivers(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    shop.process()
    shop.close()
    lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    shop.release()
    (event,) = events(shop.ledger, READY)
    assert (event["waived_count"], len(event["ready_essays"])) == (1, 1)


def test_a_waiver_makes_a_reported_incomplete_batch_be_looked_at_again(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    shop.process()
    shop.close()
    write_manifest(shop.ledger, shop.blobs, "class-a")
    write_batch_report(shop.ledger, shop.blobs, "class-a")
    with shop.ledger.read() as tx:
        assert tx.batches.unreported() == []
    lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    with shop.ledger.read() as tx:
        assert [it.batch_id for it in tx.batches.unreported()] == ["class-a"]
    assert status(shop) is BatchStatus.PROCESSING
    shop.release()
    assert status(shop) is BatchStatus.READY


def test_a_new_version_after_release_makes_revision_two_with_its_own_event(
    done: Workshop,
) -> None:
    done.release()
    done.receive("0.txt", GOOD + b" A better ending.")
    assert status(done) is BatchStatus.PROCESSING
    with pytest.raises(NotReadyError):
        release(done.ledger, "class-a")
    done.process_pending()
    assert done.release().revision == 2
    found = events(done.ledger, READY)
    assert [it["revision"] for it in found] == [1, 2]
    assert found[1]["ready_essays"][0]["essay_version"] == 2
    assert status(done) is BatchStatus.READY


def test_reprocessing_with_another_result_makes_a_new_revision_and_without_one_does_not(
    done: Workshop,
) -> None:
    done.release()
    done.process(force=True)
    assert done.release().revision == 1
    newer = done.pipeline_with(spelling_revision="2")
    done.process(pipeline=newer)
    assert status(done) is BatchStatus.PROCESSING
    assert done.release().revision in (1, 2)
    assert status(done) is BatchStatus.READY


def test_a_late_file_after_release_is_reported_without_a_new_release(done: Workshop) -> None:
    done.release()
    done.receive("late.txt", b"late")
    assert status(done) is BatchStatus.PROCESSING
    assert done.release().revision == 1
    assert status(done) is BatchStatus.READY
    assert len(events(done.ledger, READY)) == 1
    assert "late.txt" in latest_report(done, ContentType.BATCH_REPORT_HTML)


def test_closing_work_done_by_hand_after_a_dead_letter_is_reported_as_ready(
    done: Workshop,
) -> None:
    for number in range(3):
        record_attempt(
            done.ledger,
            "class-a",
            BATCH_LEVEL,
            run_id=f"r{number}",
            reason="OSError",
            max_attempts=3,
        )
    done.release()
    assert status(done) is BatchStatus.READY
    assert json.loads(latest_report(done, ContentType.BATCH_REPORT_JSON))["status"] == "ready"


def test_a_report_escapes_what_senders_name_their_files(shop: Workshop) -> None:
    shop.register()
    shop.receive("<script>alert(1)</script>/\"'&.txt")
    shop.receive("<img src=x onerror=y>.txt", b"")
    shop.process_pending()
    shop.close()
    shop.release()
    page = latest_report(shop, ContentType.BATCH_REPORT_HTML)
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;" in page
    assert "Has the same content as" not in page


def test_a_report_tells_every_file_with_its_outcome_and_what_to_do(done: Workshop) -> None:
    done.receive("extra.txt", GOOD + b"0")
    done.release()
    told = json.loads(latest_report(done, ContentType.BATCH_REPORT_JSON))
    assert [it["outcome"] for it in told["essays"]] == ["accepted"] * 3 + ["rejected", "excess"]
    assert told["essays"][4]["duplicate_of"] == "e001"
    page = latest_report(done, ContentType.BATCH_REPORT_HTML)
    for words in ("EMPTY_CONTENT", "BATCH_FULL", "extra.txt", "content as <bdi>e001</bdi>."):
        assert words in page


def test_a_settled_batch_has_lasted_from_registration_to_its_last_fact(done: Workshop) -> None:
    assert done.view().duration_seconds == 4.0
    done.clock.advance(1000)
    assert done.view().duration_seconds == 4.0
    done.release()
    assert done.view().duration_seconds == 4.0


def test_a_report_shows_what_a_name_of_a_file_hides(shop: Workshop) -> None:
    shop.register(expected=2)
    name = "\u202etxt.<b>exe"
    shop.receive(name)
    shop.receive(f"{name}/{name}")
    shop.process_pending()
    write_batch_report(shop.ledger, shop.blobs, "class-a")
    page = latest_report(shop, ContentType.BATCH_REPORT_HTML)
    assert "\u202e" not in page
    assert "[U+202E]txt.&lt;b&gt;exe/[U+202E]txt.&lt;b&gt;exe" in page
