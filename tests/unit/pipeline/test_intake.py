"""Taking files in: identity, places, and promises that are kept."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.ledger.records import UploadStatus
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.intake import ReceiptStatus
from tests.support.fakes import START
from tests.support.ledger import all_rows, events, facts, row_counts
from tests.support.workshop import GOOD, Workshop

OTHER = GOOD + b" And of the harbour."


def test_the_same_path_and_bytes_change_nothing_at_all(shop: Workshop) -> None:
    shop.register(expected=3)
    (first,) = shop.hand_in("Ida/essay.txt")
    rows, blobs = facts(shop.ledger), shop.blob_hashes()
    for path in ("Ida/essay.txt", "./Ida//essay.txt", "Ida\\essay.txt"):
        (again,) = shop.hand_in(path)
        assert again.status is ReceiptStatus.UNCHANGED
        assert (again.upload_id, again.slot) == (first.upload_id, "e001")
    assert facts(shop.ledger) == rows
    assert shop.blob_hashes() == blobs


def test_a_request_that_died_before_its_end_is_finished_by_the_next(shop: Workshop) -> None:
    shop.register(expected=3)
    shop.receive("Ida/essay.txt")
    assert events(shop.ledger, "upload.finished") == []

    for _ in range(2):
        shop.hand_in("Ida/essay.txt")

    assert len(events(shop.ledger, "upload.finished")) == 1


def test_the_same_path_with_other_bytes_is_a_new_version_and_history_is_kept(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    shop.receive("essay.txt")
    receipt = shop.receive("essay.txt", OTHER)
    assert (receipt.status, receipt.slot) == (ReceiptStatus.NEW_VERSION, "e001")
    with shop.ledger.read() as tx:
        versions = tx.essays.versions("class-a", "essay.txt")
    assert [it.version for it in versions] == [1, 2]
    assert [shop.blobs.get(it.blob_key, it.sha256) for it in versions] == [GOOD, OTHER]
    assert shop.essay().upload.version == 2
    assert row_counts(shop.ledger)["essays"] == 1


def test_going_back_to_the_first_bytes_is_a_third_version(shop: Workshop) -> None:
    shop.register()
    for data in (GOOD, OTHER, GOOD):
        shop.receive("essay.txt", data)
    assert shop.essay().upload.version == 3
    assert shop.essay().upload.sha256 == sha256_hex(GOOD)


def test_the_same_bytes_under_another_path_are_kept_and_both_are_flagged(shop: Workshop) -> None:
    shop.register(expected=3)
    slots = [shop.receive(path).slot for path in ("a/essay.txt", "b/essay.txt")]
    shop.receive("c/essay.txt", OTHER)
    assert slots == ["e001", "e002"]
    assert [it.duplicate_of for it in shop.view().essays] == ["e002", "e001", None]
    raw = [name for name in shop.blob_hashes() if name.startswith("raw_upload_blob/")]
    assert len(raw) == 3


def test_an_essay_whose_twin_is_excess_is_flagged_too(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.receive("b.txt")
    essay, excess = shop.view().essays
    assert excess.duplicate_of == "e001"
    assert essay.duplicate_of is not None


def test_slots_are_given_in_the_order_of_arrival(shop: Workshop) -> None:
    shop.register()
    names = ["z.txt", "a.txt", "m.txt"]
    assert [shop.receive(it, it.encode()).slot for it in names] == ["e001", "e002", "e003"]


def test_of_nine_files_for_seven_slots_two_are_excess_and_all_bytes_are_kept(
    shop: Workshop,
) -> None:
    shop.register(expected=7)
    data = {f"{number}.txt": GOOD + bytes([48 + number]) for number in range(9)}
    receipts = [shop.receive(name, it) for name, it in data.items()]
    assert [it.slot for it in receipts] == [f"e{n:03d}" for n in range(1, 8)] + [None, None]
    assert [it.status for it in receipts[7:]] == [ReceiptStatus.EXCESS] * 2
    excess = events(shop.ledger, "excess_content")
    assert [it["upload_id"] for it in excess] == [it.upload_id for it in receipts[7:]]
    assert {it["reason"] for it in excess} == {"BATCH_FULL"}
    for event, receipt in zip(excess, receipts[7:], strict=True):
        assert shop.blobs.get(event["raw_file_storage_id"], receipt.sha256) == data[receipt.path]
    with shop.ledger.read() as tx:
        for upload in tx.essays.uploads_of("class-a"):
            assert shop.blobs.get(upload.blob_key, upload.sha256) == data[upload.path]
        assert tx.batches.get("class-a").closed_by is ClosedBy.FULL
    assert (shop.view().received, shop.view().excess) == (7, 2)


def test_excess_that_is_sent_again_is_one_fact(shop: Workshop) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    shop.receive("b.txt")
    before = all_rows(shop.ledger)
    assert shop.receive("b.txt").status is ReceiptStatus.UNCHANGED
    assert all_rows(shop.ledger) == before


def test_after_a_request_to_close_everything_is_late_and_kept(shop: Workshop) -> None:
    shop.register(expected=3)
    shop.receive("a.txt")
    shop.close()
    late = [shop.receive("b.txt"), shop.receive("a.txt", OTHER)]
    assert [(it.status, it.slot) for it in late] == [(ReceiptStatus.LATE, None)] * 2
    assert shop.essay().upload.version == 1
    assert {it["reason"] for it in events(shop.ledger, "excess_content")} == {"ARRIVED_LATE"}
    lines = [it for it in shop.view().essays if it.essay_id is None]
    assert [(it.outcome, it.code) for it in lines] == [(EssayOutcome.EXCESS, "ARRIVED_LATE")] * 2
    assert all(
        shop.blobs.get(it.raw_blob or "", sha256_hex(OTHER if it.file_name == "a.txt" else GOOD))
        for it in lines
    )


def test_a_full_batch_takes_new_versions_until_its_deadline(shop: Workshop) -> None:
    shop.register(expected=1, deadline=START + timedelta(seconds=60))
    shop.receive("a.txt")
    assert shop.receive("a.txt", OTHER).status is ReceiptStatus.NEW_VERSION
    shop.clock.advance(60)
    assert shop.receive("a.txt", GOOD + b"3").status is ReceiptStatus.LATE
    assert shop.essay().upload.sha256 == sha256_hex(OTHER)


def test_after_the_deadline_files_are_late_though_no_sensor_closed_the_batch_yet(
    shop: Workshop,
) -> None:
    shop.register(expected=3, deadline=START + timedelta(seconds=10))
    shop.clock.advance(10)
    assert shop.receive("a.txt").status is ReceiptStatus.LATE


def test_a_reopened_batch_takes_late_files_in_the_order_in_which_they_came(
    shop: Workshop,
) -> None:
    shop.register(expected=4, timeout=5)
    shop.receive("a.txt")
    shop.clock.advance(10)
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=1)
    for name in ("z.txt", "b.txt"):
        shop.receive(name, name.encode())
    shop.receive("a.txt", OTHER)
    shop.receive("z.txt", b"a second version that was late too")
    shop.intake.reopen("class-a")
    with shop.ledger.read() as tx:
        found = [
            (it.slot, it.upload.path, it.upload.version) for it in tx.essays.of_batch("class-a")
        ]
        assert tx.essays.uploads_of("class-a", UploadStatus.LATE) == []
    assert found == [("e001", "a.txt", 2), ("e002", "z.txt", 2), ("e003", "b.txt", 1)]
    assert shop.receive("c.txt").status is ReceiptStatus.NEW_ESSAY
    assert shop.facts().batch.closed_by is ClosedBy.FULL


def test_reopening_joins_no_more_than_there_is_room_for(shop: Workshop) -> None:
    shop.register(expected=2)
    shop.receive("a.txt")
    shop.close()
    for name in ("b.txt", "c.txt"):
        shop.receive(name)
    shop.intake.reopen("class-a")
    assert [it.upload.path for it in shop.facts().essays] == ["a.txt", "b.txt"]
    assert shop.facts().batch.closed_by is ClosedBy.FULL
    assert len(shop.facts().unplaced) == 1


def test_reopening_a_batch_that_nobody_registered_is_refused(shop: Workshop) -> None:
    with pytest.raises(UnknownBatchError):
        shop.intake.reopen("class-a")


def test_a_new_version_starts_a_new_generation_without_failed_attempts(shop: Workshop) -> None:
    shop.register()
    shop.receive("a.txt")
    shop.fail_until_dead()
    assert not shop.essay().pending
    shop.receive("a.txt", OTHER)
    essay = shop.essay()
    assert (essay.pending, essay.attempts, essay.generation) == (True, 0, 1)
    assert [it.state for it in lifecycle.dead_letters(shop.ledger, only_open=False)] == [
        "superseded"
    ]


def test_a_store_that_fails_leaves_nothing_in_the_ledger(shop: Workshop) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)
    shop.blobs.fail("put", "raw_upload_blob", times=1)
    with pytest.raises(OSError, match="away"):
        shop.receive("a.txt")
    assert all_rows(shop.ledger) == before
    assert shop.receive("a.txt").slot == "e001"


def test_a_ledger_that_fails_promises_nothing_and_takes_no_slot(shop: Workshop) -> None:
    shop.register(expected=3)
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON essays BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    before = all_rows(shop.ledger)
    with pytest.raises(sa.exc.SQLAlchemyError):
        shop.receive("a.txt")
    assert all_rows(shop.ledger) == before
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER full")
    receipt = shop.receive("a.txt")
    assert (receipt.status, receipt.slot) == (ReceiptStatus.NEW_ESSAY, "e001")


@pytest.mark.parametrize("path", ["../a.txt", "/a.txt", "", "a\nb"])
def test_a_path_outside_the_grammar_is_refused_before_anything_is_kept(
    shop: Workshop, path: str
) -> None:
    shop.register()
    with pytest.raises(InvalidIdError):
        shop.receive(path)
    assert shop.blob_hashes() == {}


def test_a_batch_that_nobody_registered_takes_nothing(shop: Workshop) -> None:
    with pytest.raises(UnknownBatchError):
        shop.receive("a.txt")
    assert shop.blob_hashes() == {}


def test_a_batch_without_a_count_has_room_for_as_many_as_the_installation_allows(
    shop: Workshop,
) -> None:
    shop.register()
    names = [f"{number:03d}.txt" for number in range(100)]
    receipts = [shop.receive(it, it.encode()) for it in names]
    assert receipts[98].slot == "e099"
    assert (receipts[99].slot, receipts[99].status) == (None, ReceiptStatus.EXCESS)
    assert shop.facts().batch.closed_at is None


def test_a_finished_request_is_one_event_with_the_number_of_its_files(shop: Workshop) -> None:
    shop.register()
    shop.hand_in("a.txt", "b.txt")
    (event,) = events(shop.ledger, "essay_upload")
    assert (event["event"], event["expected_count"]) == ("essay.upload.finished", 2)
    correlation = shop.facts().batch.registration.correlation_id
    assert event["correlation_id"] == correlation


def test_the_correlation_id_of_a_request_is_on_what_it_caused(shop: Workshop) -> None:
    given = "11111111-2222-3333-4444-555555555555"
    shop.register(expected=1)
    shop.receive("z.txt", OTHER)
    shop.hand_in("a.txt", correlation_id=given)
    with shop.ledger.read() as tx:
        found = [it["correlation_id"] for _, it in tx.outbox.envelopes()]
    assert found == [given, given]


def test_a_clock_that_was_ahead_for_a_while_makes_nobody_late(shop: Workshop) -> None:
    shop.register(expected=5, deadline=START + timedelta(hours=10))
    shop.clock.advance(11 * 3600)
    assert shop.receive("a.txt").status is ReceiptStatus.LATE
    shop.clock.advance(-10 * 3600)
    assert shop.receive("b.txt").status is ReceiptStatus.NEW_ESSAY


def test_a_clock_that_was_ahead_for_a_while_keeps_no_batch_open(shop: Workshop) -> None:
    shop.register(source="inbox")
    shop.clock.advance(24 * 3600)
    shop.receive("a.txt")
    shop.clock.advance(-24 * 3600)
    shop.receive("b.txt")
    shop.clock.advance(60)
    assert lifecycle.close_what_is_due(shop.ledger, quiet_seconds=30) == 1


def test_files_are_in_order_after_a_clock_was_set_back_and_the_batch_reopened(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    shop.clock.advance(100)
    shop.receive("z.txt")
    shop.close()
    shop.clock.advance(-50)
    shop.intake.reopen("class-a")
    shop.receive("a.txt")
    with shop.ledger.read() as tx:
        assert [it.path for it in tx.essays.uploads_of("class-a")] == ["z.txt", "a.txt"]
