"""Files that come together: places in groups, each file its own moment, one event in the end."""

import itertools

import pytest
import sqlalchemy as sa

from huleedu_dagster.pipeline.intake import Intake, ReceiptStatus
from huleedu_dagster.pipeline.submission import ASKED_SINGLY, GROUP_FILES
from tests.support.ledger import all_rows, events, facts, row_counts
from tests.support.workshop import GOOD, Workshop

OTHER = GOOD + b" And of the harbour."


def data_of(name: str) -> bytes:
    return GOOD + name.encode()


def break_ledger(shop: Workshop) -> None:
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON essays BEGIN SELECT RAISE(ABORT, 'full'); END"
        )


def mend_ledger(shop: Workshop) -> None:
    with shop.ledger.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER full")


@pytest.mark.parametrize("count", [1, GROUP_FILES, GROUP_FILES + 1, 2 * GROUP_FILES + 5])
def test_however_many_come_each_has_its_receipt_in_order(shop: Workshop, count: int) -> None:
    shop.register()
    names = [f"{number:03d}.txt" for number in reversed(range(count))]
    with shop.intake.submission("class-a") as submission:
        for name in names:
            submission.receive(name, data_of(name))
    assert [it.path for it in submission.receipts] == names
    assert [it.slot for it in submission.receipts] == [f"e{n + 1:03d}" for n in range(count)]
    (finished,) = events(shop.ledger, "essay_upload")
    assert finished["expected_count"] == count


def test_files_of_one_group_are_received_one_after_the_other(shop: Workshop) -> None:
    """The clock of this test stands still."""
    shop.register()
    for names in (("z.txt", "a.txt", "m.txt"), ("y.txt", "b.txt")):
        with shop.intake.submission("class-a") as submission:
            for name in names:
                submission.receive(name, data_of(name))
    with shop.ledger.read() as tx:
        uploads = tx.essays.uploads_of("class-a")
    assert [it.path for it in uploads] == ["z.txt", "a.txt", "m.txt", "y.txt", "b.txt"]
    moments = [it.received_at for it in uploads]
    assert all(before < after for before, after in itertools.pairwise(moments))


def test_a_path_that_comes_three_times_in_a_group_is_an_essay_of_three_versions(
    shop: Workshop,
) -> None:
    shop.register(expected=2)
    with shop.intake.submission("class-a") as submission:
        for data in (GOOD, OTHER, GOOD, GOOD):
            submission.receive("a.txt", data)
    assert [it.status for it in submission.receipts] == [
        ReceiptStatus.NEW_ESSAY,
        ReceiptStatus.NEW_VERSION,
        ReceiptStatus.NEW_VERSION,
        ReceiptStatus.UNCHANGED,
    ]
    assert {it.slot for it in submission.receipts} == {"e001"}
    essay = shop.essay()
    assert (essay.upload.version, essay.generation) == (3, 2)
    assert shop.blobs.get(essay.upload.blob_key, essay.upload.sha256) == GOOD


def test_the_last_slot_and_what_no_longer_fits_can_be_in_one_group(shop: Workshop) -> None:
    shop.register(expected=2)
    with shop.intake.submission("class-a") as submission:
        for name in ("a.txt", "b.txt", "c.txt", "a.txt"):
            submission.receive(name, data_of(name) + str(len(submission.receipts)).encode())
            submission.receive(name, data_of(name))
    found = [(it.path, it.status.value, it.slot) for it in submission.receipts]
    assert found == [
        ("a.txt", "new_essay", "e001"),
        ("a.txt", "new_version", "e001"),
        ("b.txt", "new_essay", "e002"),
        ("b.txt", "new_version", "e002"),
        ("c.txt", "excess", None),
        ("c.txt", "excess", None),
        ("a.txt", "new_version", "e001"),
        ("a.txt", "new_version", "e001"),
    ]
    assert len(events(shop.ledger, "excess_content")) == 2


def test_nothing_is_promised_for_a_group_that_the_ledger_refuses(shop: Workshop) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)
    break_ledger(shop)
    submission = shop.intake.submission("class-a")
    submission.receive("a.txt", GOOD)
    submission.receive("b.txt", OTHER)
    with pytest.raises(sa.exc.SQLAlchemyError):
        submission.finish()
    assert submission.receipts == []
    assert all_rows(shop.ledger) == before
    mend_ledger(shop)
    shop.hand_in("a.txt", "b.txt")
    assert row_counts(shop.ledger)["essays"] == 2


def test_when_the_store_fails_what_came_whole_before_is_kept(shop: Workshop) -> None:
    shop.register(expected=3)

    def hand_in() -> None:
        with shop.intake.submission("class-a") as submission:
            submission.receive("a.txt", GOOD)
            shop.blobs.fail("put", "raw_upload_blob", times=1)
            submission.receive("b.txt", OTHER)

    with pytest.raises(OSError, match="away"):
        hand_in()
    assert [it.upload.path for it in shop.facts().essays] == ["a.txt"]
    assert events(shop.ledger, "essay_upload") == []
    shop.clock.advance(1)
    with shop.intake.submission("class-a") as submission:
        submission.receive("a.txt", GOOD)
        submission.receive("b.txt", OTHER)
    assert [it.status for it in submission.receipts] == ["unchanged", "new_essay"]
    assert len(events(shop.ledger, "essay_upload")) == 1


ONE, TWO, THREE = (f"{it}0000000-0000-4000-8000-000000000000" for it in "123")


def test_a_request_that_died_is_finished_when_it_is_sent_again_whoever_finished_since(
    shop: Workshop,
) -> None:
    shop.register(expected=5)
    died = shop.intake.submission("class-a", correlation_id=ONE)
    died.receive("a.txt", GOOD)
    died.settle()
    shop.hand_in("b.txt", correlation_id=TWO)

    shop.hand_in("a.txt", correlation_id=ONE)
    finished = events(shop.ledger, "essay_upload")
    assert [it["correlation_id"] for it in finished] == [TWO, ONE]
    assert [it["expected_count"] for it in finished] == [1, 1]
    before = facts(shop.ledger)
    for correlation_id in (ONE, TWO, THREE):
        shop.hand_in("a.txt", "b.txt", correlation_id=correlation_id)
    assert facts(shop.ledger) == before


def test_two_requests_that_end_at_once_are_two_facts(shop: Workshop) -> None:
    """Also when both have as many files and the same correlation id."""
    shop.register()
    one = shop.intake.submission("class-a")
    two = shop.intake.submission("class-a")
    one.receive("a.txt", GOOD)
    two.receive("b.txt", GOOD)
    for submission in (one, two):
        submission.settle()
    for submission in (two, one):
        submission.finish()
        submission.finish()
    assert len(events(shop.ledger, "essay_upload")) == 2
    # Both are finished, in whatever order they said so.
    before = facts(shop.ledger)
    shop.hand_in("a.txt", "b.txt")
    assert facts(shop.ledger) == before


def test_a_version_that_another_machine_took_in_meanwhile_is_seen(shop: Workshop) -> None:
    shop.register(expected=3)
    elsewhere = Intake(shop.ledger, shop.blobs, 99)
    submission = shop.intake.submission("class-a")
    elsewhere.receive("class-a", "a.txt", GOOD)
    submission.receive("a.txt", GOOD)
    submission.receive("a.txt", OTHER)
    submission.finish()
    assert [it.status for it in submission.receipts] == ["unchanged", "new_version"]
    assert row_counts(shop.ledger)["uploads"] == 2


def test_what_the_store_cannot_make_durable_gets_no_receipt(shop: Workshop) -> None:
    shop.register(expected=3)
    before = all_rows(shop.ledger)
    shop.blobs.fail("secure", "raw_upload_blob")
    with pytest.raises(OSError, match="away"), shop.intake.submission("class-a") as submission:
        submission.receive("a.txt", GOOD)
    assert submission.receipts == []
    assert all_rows(shop.ledger) == before
    shop.blobs.fail("secure", "raw_upload_blob", times=0)
    assert [it.slot for it in shop.hand_in("a.txt")] == ["e001"]


def test_known_files_are_no_news_while_another_request_is_under_way(shop: Workshop) -> None:
    shop.register()
    shop.hand_in("a.txt")
    with shop.intake.submission("class-a") as slow:
        slow.receive("b.txt", GOOD)
        slow.settle()
        shop.hand_in("a.txt")
        assert len(events(shop.ledger, "essay_upload")) == 1
        slow.receive("c.txt", GOOD)
    assert [it["expected_count"] for it in events(shop.ledger, "essay_upload")] == [1, 2]


@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "in pieces"])
def test_a_raw_blob_that_the_store_lost_comes_back_with_the_same_file(
    shop: Workshop, pieces: bool
) -> None:
    shop.register(expected=2)
    with shop.intake.submission("class-a") as first:
        for name in ("a.txt", "b.txt"):
            first.receive(name, data_of(name))
    before = facts(shop.ledger)
    lost = first.receipts[0].upload_id
    (key,) = [it for it in shop.blobs.keys("raw_upload_blob/class-a") if it.endswith(lost)]
    (shop.folder / "blobs" / key).unlink()

    with shop.intake.submission("class-a") as submission:
        for name in ("a.txt", "b.txt"):
            if pieces:
                with submission.upload(name) as upload:
                    upload.write(data_of(name))
                    upload.keep()
            else:
                submission.receive(name, data_of(name))

    assert [it.status for it in submission.receipts] == [ReceiptStatus.UNCHANGED] * 2
    assert shop.blobs.get(key, first.receipts[0].sha256) == data_of("a.txt")
    assert facts(shop.ledger) == before


def test_a_raw_blob_that_cannot_be_put_back_leaves_its_file_without_a_receipt(
    shop: Workshop,
) -> None:
    shop.register(expected=1)
    shop.receive("a.txt")
    (key,) = shop.blobs.keys("raw_upload_blob/class-a")
    (shop.folder / "blobs" / key).unlink()
    submission = shop.intake.submission("class-a")

    for operation in ("has", "put"):
        shop.blobs.fail(operation, "raw_upload_blob", times=1)
        with pytest.raises(OSError, match="away"):
            submission.receive("a.txt", GOOD)
        assert submission.receipts == []

    submission.receive("a.txt", GOOD)
    assert [it.status for it in submission.receipts] == [ReceiptStatus.UNCHANGED]
    assert shop.blobs.has(key)


def test_few_files_that_come_again_ask_for_no_listing_of_all_that_their_batch_ever_got(
    shop: Workshop,
) -> None:
    shop.register(expected=ASKED_SINGLY + 1)
    names = [f"{number:03d}.txt" for number in range(ASKED_SINGLY + 1)]
    with shop.intake.submission("class-a") as first:
        for name in names:
            first.receive(name, data_of(name))
    shop.blobs.fail("keys", "raw_upload_blob")

    with shop.intake.submission("class-a") as again:
        for name in names[:-1]:
            again.receive(name, data_of(name))
        assert [it.status for it in again.receipts] == [ReceiptStatus.UNCHANGED] * ASKED_SINGLY
        # Of many, one listing is cheaper than a question for each.
        with pytest.raises(OSError, match="away"):
            again.receive(names[-1], data_of(names[-1]))
        shop.blobs.fail("keys", "raw_upload_blob", times=0)
        shop.blobs.fail("has", "raw_upload_blob")
        again.receive(names[-1], data_of(names[-1]))
        again.receive(names[0], data_of(names[0]))
