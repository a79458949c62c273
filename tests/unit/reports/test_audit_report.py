"""The audit report of a day: totals, forms, the page, and what later days do not change."""

import csv
import io
import json
import re
from datetime import date, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.domain.actions import Actor
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.audit_facts import Days, fact_names
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.reports.audit import (
    AuditReport,
    audit_forms,
    stored_report,
    write_audit_report,
)
from huleedu_dagster.reports.audit_content import NOW, AuditContent
from huleedu_dagster.reports.audit_page import audit_html, charts
from tests.support.fakes import START
from tests.support.workshop import GOOD, Workshop

DAY = START.date()
HTML_NAME = "Anna Berg <i>"
OPERATOR = Actor.operator("kit <b>")


@pytest.fixture
def busy(shop: Workshop) -> Workshop:
    """A day with a released batch, an incomplete one, a dead letter and a waiver."""
    with shop.ledger.write() as tx:
        token = tx.tokens.create("nine a", [Scope.REGISTER], hash_token(new_token()))
    lifecycle.register(
        shop.ledger.acting(Actor.token(token.token_id)),
        "one",
        settings=BatchSettings(),
        expected_essay_count=3,
    )
    shop.receive(f"{HTML_NAME}/a.txt", batch_id="one")
    shop.receive("b.txt", batch_id="one")
    shop.hand_in("b.txt", batch_id="one")
    shop.receive("empty.txt", b"", batch_id="one")
    shop.receive("excess.txt", b"excess", batch_id="one")
    shop.clock.advance(90)
    shop.process_pending()
    shop.release("one")
    shop.register("class-a", expected=3)
    shop.receive("a.txt", GOOD + b"3")
    shop.close("class-a")
    shop.fail_until_dead()
    lifecycle.waive(shop.ledger.acting(OPERATOR), "class-a", "e002", "Anna is ill")
    return shop


def write(shop: Workshop, day: date = DAY) -> AuditReport:
    return write_audit_report(shop.ledger, shop.blobs, day)


def content_of(shop: Workshop, first: date = DAY, last: date = DAY) -> AuditContent:
    with shop.ledger.read() as tx:
        return AuditContent.read(tx, Days(first, last))


def stored(shop: Workshop, report: AuditReport, kind: ContentType) -> bytes:
    return (shop.folder / "blobs" / report.blob_keys[kind]).read_bytes()


def page_of(shop: Workshop) -> LexborHTMLParser:
    return LexborHTMLParser(audit_html(content_of(shop)))


def text(node: LexborNode | None) -> str:
    assert node is not None
    return " ".join(node.text().split())


def counted(totals: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in totals.items() if count}


def test_the_totals_of_a_day_are_what_happened_on_it(busy: Workshop) -> None:
    assert counted(write(busy).totals) == {
        "registered": 2,
        "received": 5,
        "received_bytes": 3 * len(GOOD) + 1 + len("excess"),
        "new_essays": 4,
        "duplicates": 1,
        "suppressed": 1,
        "excess": 1,
        "accepted": 2,
        "rejected": 1,
        "rejected_EMPTY_CONTENT": 1,
        "words": 22,
        "misspellings": 2,
        "dead_letters": 1,
        "completed": 1,
        "released": 1,
        "timed_out": 1,
        "waived": 1,
    }


def test_what_happened_on_another_day_is_not_counted(busy: Workshop) -> None:
    for day in (DAY - timedelta(days=1), DAY + timedelta(days=1)):
        assert set(write(busy, day).totals.values()) == {0}


def test_a_day_begins_and_ends_at_midnight_in_utc(shop: Workshop) -> None:
    shop.clock.now = START.replace(hour=23, minute=59, second=59, microsecond=999_999)
    shop.register("last")
    shop.clock.now += timedelta(microseconds=1)
    shop.register("first-of-tomorrow")
    for day in (DAY, DAY + timedelta(days=1)):
        with shop.ledger.read() as tx:
            assert tx.audit.totals(day)["registered"] == 1
            assert len(tx.audit.by_batch(Days.one(day))) == 1


def test_the_last_day_is_not_before_the_first() -> None:
    with pytest.raises(ValueError, match="not before"):
        Days(DAY, DAY - timedelta(days=1))


def test_a_twin_is_counted_once_and_on_the_day_it_came(shop: Workshop) -> None:
    shop.register("one", expected=9)
    shop.receive("a.txt", batch_id="one")
    with shop.ledger.read() as tx:
        assert tx.audit.totals(DAY)["duplicates"] == 0
    shop.clock.advance(24 * 3600)
    shop.receive("b.txt", batch_id="one")
    with shop.ledger.read() as tx:
        assert tx.audit.totals(DAY)["duplicates"] == 0
        assert tx.audit.totals(DAY + timedelta(days=1))["duplicates"] == 1
        assert tx.audit.totals(DAY, DAY + timedelta(days=1))["duplicates"] == 1


def test_times_are_told_with_percentiles(busy: Workshop) -> None:
    found = content_of(busy).seconds
    assert (found["registration_to_release"].count, found["registration_to_release"].max) == (1, 95)
    assert found["last_file_to_release"].p50 == 90
    assert (found["file_to_outcome"].count, found["file_to_outcome"].p50) == (3, 93)


def test_who_did_what_is_told_by_the_names_of_tokens_and_accounts(busy: Workshop) -> None:
    told = {(it.kind, it.actor, it.action): it.amount for it in content_of(busy).acts}
    assert told["token", "nine a", "registered"] == 1
    assert told["operator", OPERATOR.actor_id, "waived"] == 1
    assert told["system", "pipeline", "received"] == 5
    assert told["system", "pipeline", "unchanged"] == 1


def test_a_token_and_the_one_that_replaced_it_under_its_name_are_told_apart(
    shop: Workshop,
) -> None:
    made = []
    for number in range(2):
        with shop.ledger.write() as tx:
            token = tx.tokens.create("nine a", [Scope.REGISTER], hash_token(new_token()))
        lifecycle.register(
            shop.ledger.acting(Actor.token(token.token_id)), f"b{number}", settings=BatchSettings()
        )
        with shop.ledger.write() as tx:
            tx.tokens.revoke(token.token_id)
        made.append(token.token_id)
    told = [it for it in content_of(shop).as_json()["actions"] if it["kind"] == "token"]
    assert [(it["actor"], it["action"]) for it in told] == [("nine a", "registered")] * 2
    assert [it["actor_id"] for it in told] == sorted(made)


def test_every_form_of_the_report_holds_every_batch(busy: Workshop) -> None:
    report = write(busy)
    told = json.loads(stored(busy, report, ContentType.AUDIT_REPORT_JSON))
    assert [it["batch_id"] for it in told["batches"]] == ["class-a", "one"]
    assert [it["now"]["status"] for it in told["batches"]] == ["processing", "ready"]
    lines = stored(busy, report, ContentType.AUDIT_REPORT_CSV).decode()
    table = list(csv.DictReader(io.StringIO(lines)))
    assert [(it["batch_id"], it["now_status"], it["received"]) for it in table] == [
        ("class-a", "processing", "1"),
        ("one", "ready", "4"),
    ]
    assert table[1]["registered_at"] == START.isoformat().replace("+00:00", "Z")
    assert (table[0]["completed_at"], table[0]["misspellings_per_100_words"]) == ("", "")
    page = stored(busy, report, ContentType.AUDIT_REPORT_HTML).decode()
    assert "class-a" in page
    assert told["totals"] == report.totals


def test_no_form_names_a_file_or_tells_a_reason(busy: Workshop) -> None:
    report = write(busy)
    for kind in report.blob_keys:
        data = stored(busy, report, kind)
        assert b"Anna" not in data, kind
        assert b"empty.txt" not in data, kind
        assert b"about teh sea" not in data, kind


def frame(shop: Workshop, report: AuditReport, kind: ContentType) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(stored(shop, report, kind)))


def test_the_table_of_batches_has_types(busy: Workshop) -> None:
    found = frame(busy, write(busy), ContentType.AUDIT_BATCHES_PARQUET)
    types = {name: str(it) for name, it in found.dtypes.items()}
    assert {types[name] for name in fact_names(Days.one(DAY))} == {"int64"}
    assert {types[f"now_{name}"] for name in NOW if name != "status"} == {"int64"}
    for name in ("first_day", "registered_at", "completed_at"):
        assert types[name] == "datetime64[us, UTC]"
    for name in ("misspellings_per_100_words", "seconds_from_registration"):
        assert types[name] == "float64"
    one = found.set_index("batch_id").loc["one"]
    assert (one["accepted"], one["words"], one["misspellings_per_100_words"]) == (2, 22, 9.1)
    assert one["seconds_from_registration"] == 95
    assert found["accepted"].sum() == 2


def test_a_batch_of_any_size_leaves_a_gap_and_no_float(shop: Workshop) -> None:
    shop.register("any")
    report = write(shop)
    schema = pq.read_schema(io.BytesIO(stored(shop, report, ContentType.AUDIT_BATCHES_PARQUET)))
    assert str(schema.field("now_expected").type) == "int64"
    lines = stored(shop, report, ContentType.AUDIT_REPORT_CSV).decode()
    (row,) = csv.DictReader(io.StringIO(lines))
    assert (row["now_expected"], row["registered"]) == ("", "1")


def test_the_table_of_essays_has_every_outcome(busy: Workshop) -> None:
    found = frame(busy, write(busy), ContentType.AUDIT_ESSAYS_PARQUET)
    rows = found[["batch_id", "slot", "outcome", "seconds_to_outcome", "first"]]
    assert rows.to_dict("records") == [
        dict(zip(rows.columns, it, strict=True))
        for it in (
            ("one", "e001", "accepted", 94.0, True),
            ("one", "e002", "accepted", 93.0, True),
            ("one", "e003", "rejected", 91.0, True),
        )
    ]
    assert list(found["code"].dropna()) == ["EMPTY_CONTENT"]
    assert str(found["received_at"].dtype) == "datetime64[us, UTC]"
    essays = pq.read_schema(io.BytesIO(stored(busy, write(busy), ContentType.AUDIT_ESSAYS_PARQUET)))
    assert str(essays.field("words").type) == "int64"
    assert "path" not in essays.names


def test_a_day_on_which_nothing_happened_has_empty_tables_with_the_same_columns(
    busy: Workshop,
) -> None:
    full, empty = write(busy), write(busy, DAY + timedelta(days=9))
    for kind in (ContentType.AUDIT_BATCHES_PARQUET, ContentType.AUDIT_ESSAYS_PARQUET):
        first, second = (pq.read_table(io.BytesIO(stored(busy, it, kind))) for it in (full, empty))
        assert first.schema.equals(second.schema, check_metadata=True)
        assert (first.num_rows > 0, second.num_rows) == (True, 0)
    assert charts(empty.content) == ()


def test_equal_content_gives_equal_bytes_in_every_form(busy: Workshop) -> None:
    first, blobs = write(busy), busy.blob_hashes()
    busy.clock.advance(3600)
    again = write(busy)
    assert again.blob_keys == first.blob_keys
    assert busy.blob_hashes() == blobs
    _, forms = audit_forms(busy.ledger, Days.one(DAY))
    for kind, data in forms.items():
        assert data == stored(busy, first, kind)


def test_what_happens_later_changes_how_a_batch_stands_now_and_nothing_else(
    busy: Workshop,
) -> None:
    first = write(busy)
    busy.clock.advance(24 * 3600)
    with busy.ledger.read() as tx:
        (letter,) = tx.failures.open_letters()
    lifecycle.replay(busy.ledger, letter.dead_letter_id)
    busy.process_pending()
    busy.receive("late.txt", b"late")
    busy.intake.reopen("class-a")
    busy.receive("b.txt", GOOD + b" again", batch_id="one")
    busy.process_pending()
    lifecycle.waive(busy.ledger, "class-a", "e003", "later")
    second = write(busy)
    assert second.totals == first.totals
    assert second.sha256 == first.sha256
    now = [it.now for it in second.content.batches]
    assert now != [it.now for it in first.content.batches]
    key = ContentType.AUDIT_REPORT_JSON
    assert second.blob_keys[key] != first.blob_keys[key]


def test_the_latest_report_of_a_day_counts_and_is_read_back(busy: Workshop) -> None:
    write(busy)
    busy.register("another")
    latest = write(busy)
    found = stored_report(busy.ledger, busy.blobs, DAY)
    assert found["totals"] == latest.totals
    assert latest.totals["registered"] == 3


def test_a_store_that_fails_midway_leaves_the_report_that_there_was(busy: Workshop) -> None:
    write(busy)
    before = stored_report(busy.ledger, busy.blobs, DAY)
    busy.receive("more.txt", b"one more", batch_id="one")
    busy.blobs.fail("put", ContentType.AUDIT_ESSAYS_PARQUET, 1)
    busy.blobs.fail("put", ContentType.AUDIT_BATCHES_PARQUET, 1)
    with pytest.raises(OSError):
        write(busy)
    assert stored_report(busy.ledger, busy.blobs, DAY) == before
    with pytest.raises(OSError):
        write(busy)
    assert stored_report(busy.ledger, busy.blobs, DAY) == before
    write(busy)
    found = stored_report(busy.ledger, busy.blobs, DAY)["totals"]["received"]
    assert found == before["totals"]["received"] + 1


def test_a_day_without_a_report_has_none(shop: Workshop) -> None:
    with pytest.raises(LookupError):
        stored_report(shop.ledger, shop.blobs, DAY)


def test_a_batch_that_timed_out_without_a_single_essay_is_in_the_report(shop: Workshop) -> None:
    shop.register("empty", expected=3, timeout=5)
    shop.clock.advance(6)
    lifecycle.close_what_is_due(shop.ledger, quiet_seconds=30)
    content = content_of(shop)
    assert content.totals["timed_out"] == 1
    assert [(it.batch_id, it.counts["timed_out"]) for it in content.batches] == [("empty", 1)]


def test_the_page_loads_nothing_and_runs_nothing(busy: Workshop) -> None:
    page = page_of(busy)
    assert [it.attributes["lang"] for it in page.css("html")] == ["en"]
    assert page.css("script, link, img, iframe, object, form, a[href]") == []
    source = audit_html(content_of(busy))
    assert re.findall(r"url\(|@import|https?:|\son\w+=", source) == []


def test_the_page_is_built_for_everyone(busy: Workshop) -> None:
    page = page_of(busy)
    levels = [int(str(it.tag)[1]) for it in page.css("h1, h2, h3")]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    for table in page.css("table"):
        assert text(table.css_first("caption"))
        assert {it.attributes["scope"] for it in table.css("thead th")} == {"col"}
        assert {it.attributes["scope"] for it in table.css("tbody th")} == {"row"}
        assert len(table.css("thead th")) == len(table.css("tbody tr:first-child > *"))
    ids = [it.attributes["id"] for it in page.css("[id]")]
    assert len(ids) == len(set(ids))
    named = " ".join(str(it.attributes["aria-labelledby"]) for it in page.css("[aria-labelledby]"))
    assert set(named.split()) <= set(ids)


def test_the_page_has_the_four_plots_with_their_values_in_words(busy: Workshop) -> None:
    said = {
        text(it.css_first("title")): text(it.css_first("desc")) for it in page_of(busy).css("svg")
    }
    assert list(said) == [
        "Throughput by hour",
        "Time to complete",
        "Rejections by code",
        "Misspellings of each batch",
    ]
    assert "Files received: 09: 5" in said["Throughput by hour"]
    assert "Essays with an outcome: 09: 3" in said["Throughput by hour"]
    assert "number of batches" in said["Time to complete"]
    assert said["Rejections by code"] == "Essays rejected. EMPTY_CONTENT: 1."
    assert said["Misspellings of each batch"] == "Misspellings per 100 words. one: 9.1."


def test_the_page_of_several_days_has_its_throughput_by_day(busy: Workshop) -> None:
    found = charts(content_of(busy, DAY - timedelta(days=1), DAY + timedelta(days=1)))
    assert "Throughput by day" in found[0]
    assert "Files received: 11-22: 5" in found[0]


def test_names_on_the_page_are_text(busy: Workshop) -> None:
    source = audit_html(content_of(busy))
    assert "kit &lt;b&gt;" in source
    assert "<b>" not in source
