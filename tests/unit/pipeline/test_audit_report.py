"""The audit report of a day."""

import csv
import io
import json
from datetime import timedelta

import pytest

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.reports.audit import (
    COLUMNS,
    AuditReport,
    stored_totals,
    totals_agree,
    write_audit_report,
)
from tests.support.fakes import START
from tests.support.workshop import GOOD, Workshop

DAY = START.date()


@pytest.fixture
def busy(shop: Workshop) -> Workshop:
    """A day with a released batch, an incomplete one, a dead letter and a waiver."""
    shop.register("one", expected=3)
    shop.receive("a.txt", batch_id="one")
    shop.receive("b.txt", batch_id="one")
    shop.receive("empty.txt", b"", batch_id="one")
    shop.receive("excess.txt", b"excess", batch_id="one")
    shop.process_pending()
    shop.release("one")
    shop.register("class-a", expected=3)
    shop.receive("a.txt", GOOD + b"3")
    shop.close("class-a")
    shop.fail_until_dead()
    lifecycle.waive(shop.ledger, "class-a", "e002", "ill")
    return shop


def write(shop: Workshop) -> AuditReport:
    return write_audit_report(shop.ledger, shop.blobs, DAY)


def stored(shop: Workshop, report: AuditReport, kind: ContentType) -> str:
    return (shop.folder / "blobs" / report.blob_keys[kind]).read_text(encoding="utf-8")


def test_the_totals_of_a_day_are_what_happened_on_it(busy: Workshop) -> None:
    assert write(busy).totals == {
        "registered": 2,
        "received": 5,
        "duplicates": 2,
        "dead_letters": 1,
        "completed": 1,
        "released": 1,
        "timed_out": 1,
        "waived": 1,
        "accepted": 2,
        "rejected_EMPTY_CONTENT": 1,
    }


def test_what_happened_on_another_day_is_not_counted(busy: Workshop) -> None:
    for day in (DAY - timedelta(days=1), DAY + timedelta(days=1)):
        assert set(write_audit_report(busy.ledger, busy.blobs, day).totals.values()) == {0}


def test_a_day_begins_and_ends_at_midnight_in_utc(shop: Workshop) -> None:
    shop.clock.now = START.replace(hour=23, minute=59, second=59, microsecond=999_999)
    shop.register("last")
    shop.clock.now += timedelta(microseconds=1)
    shop.register("first-of-tomorrow")
    with shop.ledger.read() as tx:
        assert tx.audit.totals(DAY)["registered"] == 1
        assert tx.audit.totals(DAY + timedelta(days=1))["registered"] == 1


def test_every_form_of_the_report_holds_every_batch(busy: Workshop) -> None:
    report = write(busy)
    told = json.loads(stored(busy, report, ContentType.AUDIT_REPORT_JSON))
    assert [it["batch_id"] for it in told["batches"]] == ["class-a", "one"]
    table = list(csv.DictReader(io.StringIO(stored(busy, report, ContentType.AUDIT_REPORT_CSV))))
    assert list(table[0]) == list(COLUMNS)
    assert [(it["batch_id"], it["status"], it["received"]) for it in table] == [
        ("class-a", "processing", "1"),
        ("one", "ready", "3"),
    ]
    page = stored(busy, report, ContentType.AUDIT_REPORT_HTML)
    assert "class-a" in page
    assert "dead letters" in page


def test_a_batch_that_timed_out_without_a_single_essay_is_in_the_report(shop: Workshop) -> None:
    shop.register("empty", expected=3, timeout=5)
    shop.clock.advance(6)
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=30)
    told = json.loads(stored(shop, write(shop), ContentType.AUDIT_REPORT_JSON))
    assert told["totals"]["timed_out"] == 1
    assert [it["batch_id"] for it in told["batches"]] == ["empty"]


def test_the_same_day_written_again_is_the_same_report(busy: Workshop) -> None:
    first, blobs = write(busy), busy.blob_hashes()
    busy.clock.advance(3600)
    assert write(busy) == first
    assert busy.blob_hashes() == blobs


def test_the_latest_report_of_a_day_counts_and_its_totals_are_read_back(busy: Workshop) -> None:
    write(busy)
    busy.register("another")
    latest = write(busy)
    assert stored_totals(busy.ledger, busy.blobs, DAY) == latest.totals
    assert latest.totals["registered"] == 3


def test_a_day_without_a_report_has_no_totals(shop: Workshop) -> None:
    with pytest.raises(LookupError):
        stored_totals(shop.ledger, shop.blobs, DAY)


def test_totals_that_differ_are_named_and_a_missing_one_is_nought() -> None:
    assert totals_agree({"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 0}) == []
    assert totals_agree({"a": 1, "c": 2}, {"a": 2, "b": 1, "c": 2}) == ["a", "b"]
