"""Files that arrive piece by piece: nothing is kept of what did not end, all of what did."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from huleedu_dagster.domain.ids import InvalidIdError
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.pipeline.intake import FileUpload, Receipt, ReceiptStatus, Submission
from tests.support.ledger import all_rows, row_counts
from tests.support.workshop import GOOD, Workshop

OTHER = GOOD + b" And of the harbour."


class SenderGoneError(Exception):
    """The connection broke."""


@dataclass
class Opened:
    """One file alone in its submission."""

    submission: Submission
    upload: FileUpload

    def write(self, chunk: bytes) -> None:
        self.upload.write(chunk)

    def finish(self) -> Receipt:
        self.upload.keep()
        self.submission.settle()
        return self.submission.receipts[-1]


@contextmanager
def opened(shop: Workshop, path: str) -> Iterator[Opened]:
    submission = shop.intake.submission("class-a")
    with submission.upload(path) as upload:
        yield Opened(submission, upload)


def send(shop: Workshop, path: str, *chunks: bytes) -> Receipt:
    shop.clock.advance(1)
    with opened(shop, path) as upload:
        for chunk in chunks:
            upload.write(chunk)
        return upload.finish()


def test_a_file_in_pieces_is_the_file_in_one_piece(shop: Workshop) -> None:
    shop.register(expected=3)
    receipt = send(shop, "Ida/essay.txt", GOOD[:10], b"", GOOD[10:])
    assert (receipt.sha256, receipt.size) == (sha256_hex(GOOD), len(GOOD))
    assert (receipt.status, receipt.slot) == (ReceiptStatus.NEW_ESSAY, "e001")
    kept = shop.essay().upload
    assert (kept.upload_id, kept.sha256, kept.size) == (
        receipt.upload_id,
        receipt.sha256,
        receipt.size,
    )
    assert shop.blobs.get(f"raw_upload_blob/class-a/{receipt.upload_id}", kept.sha256) == GOOD
    assert shop.receive("Ida/essay.txt").status is ReceiptStatus.UNCHANGED


def test_an_empty_file_is_a_file(shop: Workshop) -> None:
    shop.register()
    receipt = send(shop, "essay.txt")
    assert (receipt.size, receipt.sha256, receipt.slot) == (0, sha256_hex(b""), "e001")
    assert shop.blobs.get(shop.essay().upload.blob_key, receipt.sha256) == b""


def test_the_same_bytes_again_in_other_pieces_change_nothing_at_all(shop: Workshop) -> None:
    shop.register(expected=3)
    first = send(shop, "essay.txt", GOOD)
    rows, blobs = all_rows(shop.ledger), shop.blob_hashes()
    again = send(shop, "./essay.txt", GOOD[:3], GOOD[3:])
    assert again.status is ReceiptStatus.UNCHANGED
    assert again.upload_id == first.upload_id
    assert all_rows(shop.ledger) == rows
    assert shop.blob_hashes() == blobs


def test_the_same_path_with_other_bytes_is_a_new_version(shop: Workshop) -> None:
    shop.register()
    send(shop, "essay.txt", GOOD)
    receipt = send(shop, "essay.txt", GOOD, OTHER[len(GOOD) :])
    assert receipt.status is ReceiptStatus.NEW_VERSION
    assert shop.essay().upload.sha256 == sha256_hex(OTHER)


@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_a_sender_who_goes_away_leaves_nothing(shop: Workshop, chunks: int) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)

    def begin() -> None:
        with opened(shop, "essay.txt") as upload:
            for _ in range(chunks):
                upload.write(GOOD)
            raise SenderGoneError

    with pytest.raises(SenderGoneError):
        begin()
    assert all_rows(shop.ledger) == before
    assert shop.blob_hashes() == {}
    assert send(shop, "essay.txt", GOOD).slot == "e001"


def test_an_upload_that_is_not_finished_is_none(shop: Workshop) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)
    with opened(shop, "essay.txt") as upload:
        upload.write(GOOD)
        assert upload.upload.size == len(GOOD)
    assert all_rows(shop.ledger) == before
    assert shop.blob_hashes() == {}


def test_a_batch_that_nobody_registered_takes_no_byte(shop: Workshop) -> None:
    with pytest.raises(UnknownBatchError), opened(shop, "essay.txt"):
        pytest.fail("the upload has begun")
    assert shop.blob_hashes() == {}


def test_a_path_outside_the_grammar_takes_no_byte(shop: Workshop) -> None:
    shop.register()
    with pytest.raises(InvalidIdError), opened(shop, "../essay.txt"):
        pytest.fail("the upload has begun")
    assert shop.blob_hashes() == {}


@pytest.mark.parametrize("operation", ["write", "put"])
def test_a_store_that_fails_on_the_way_leaves_nothing(shop: Workshop, operation: str) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)
    shop.blobs.fail(operation, "raw_upload_blob", times=1)
    with pytest.raises(OSError, match="away"):
        send(shop, "essay.txt", GOOD)
    assert all_rows(shop.ledger) == before
    assert shop.blob_hashes() == {}
    assert send(shop, "essay.txt", GOOD).slot == "e001"


def test_a_ledger_that_fails_gives_no_receipt_and_takes_no_slot(shop: Workshop) -> None:
    shop.register(expected=3)
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON essays BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    before = all_rows(shop.ledger)
    with pytest.raises(sa.exc.SQLAlchemyError):
        send(shop, "essay.txt", GOOD)
    assert all_rows(shop.ledger) == before
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER full")
    assert send(shop, "essay.txt", GOOD).slot == "e001"


def test_of_two_uploads_of_one_path_that_are_open_at_once_both_are_versions(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    with (
        opened(shop, "essay.txt") as first,
        opened(shop, "essay.txt") as second,
    ):
        first.write(GOOD)
        second.write(OTHER)
        receipts = [second.finish(), first.finish()]
    assert [it.status for it in receipts] == [ReceiptStatus.NEW_ESSAY, ReceiptStatus.NEW_VERSION]
    assert shop.essay().upload.sha256 == sha256_hex(GOOD)


def test_of_the_same_bytes_in_two_open_uploads_one_is_a_version(shop: Workshop) -> None:
    shop.register(expected=3)
    with (
        opened(shop, "essay.txt") as first,
        opened(shop, "essay.txt") as second,
    ):
        first.write(GOOD)
        second.write(GOOD)
        receipts = [first.finish(), second.finish()]
    assert [it.status for it in receipts] == [ReceiptStatus.NEW_ESSAY, ReceiptStatus.UNCHANGED]
    assert receipts[1].upload_id == receipts[0].upload_id
    assert row_counts(shop.ledger)["uploads"] == 1


def test_bytes_that_were_the_latest_when_the_upload_began_are_news_after_another_version(
    shop: Workshop,
) -> None:
    shop.register(expected=3)
    send(shop, "essay.txt", GOOD)
    with opened(shop, "essay.txt") as upload:
        upload.write(GOOD)
        send(shop, "essay.txt", OTHER)
        receipt = upload.finish()
    assert receipt.status is ReceiptStatus.NEW_VERSION
    assert shop.essay().upload.version == 3
    assert shop.essay().upload.sha256 == sha256_hex(GOOD)


def test_a_batch_that_is_closed_while_a_file_arrives_takes_it_as_late(shop: Workshop) -> None:
    """What counts is when the last byte was there."""
    shop.register(expected=3)
    with opened(shop, "essay.txt") as upload:
        upload.write(GOOD)
        shop.close()
        receipt = upload.finish()
    assert (receipt.status, receipt.slot) == (ReceiptStatus.LATE, None)
    assert shop.blobs.get(f"raw_upload_blob/class-a/{receipt.upload_id}", receipt.sha256) == GOOD


def test_each_call_of_an_upload_may_come_from_another_thread(shop: Workshop) -> None:
    shop.register(expected=3)
    found: list[Receipt] = []

    def elsewhere(call: Callable[[], object]) -> None:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    with opened(shop, "essay.txt") as upload:
        elsewhere(lambda: upload.write(GOOD[:5]))
        elsewhere(lambda: upload.write(GOOD[5:]))
        elsewhere(lambda: found.append(upload.finish()))
    assert [it.slot for it in found] == ["e001"]


def test_a_large_file_is_never_in_memory_as_a_whole(shop: Workshop) -> None:
    shop.register()
    chunk = b"x" * 65_536
    with opened(shop, "warm.txt") as upload:
        upload.write(chunk)
        upload.finish()
    tracemalloc.start()
    try:
        with opened(shop, "essay.txt") as upload:
            for _ in range(400):
                upload.write(chunk)
            receipt = upload.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert receipt.size == 400 * len(chunk)
    assert peak < 20 * len(chunk)
