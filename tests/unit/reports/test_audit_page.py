"""What the page of an audit says of batches, and of the times they took."""

from datetime import date, timedelta

import pytest
from selectolax.lexbor import LexborHTMLParser, LexborNode

from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.reports.audit_content import AuditContent
from huleedu_dagster.reports.audit_page import audit_html
from tests.support.fakes import START
from tests.support.workshop import Workshop

DAY = START.date()


def content_of(shop: Workshop, last: date) -> AuditContent:
    with shop.ledger.read() as tx:
        return AuditContent.read(tx, Days(DAY, last))


def text(node: LexborNode) -> str:
    return " ".join(node.text().split())


def test_batches_have_the_names_of_their_classes_beside_their_ids(shop: Workshop) -> None:
    for number, name in enumerate(("9B", "9B", "R\u00e9a <i>\u202e")):
        lifecycle.register(
            shop.ledger,
            f"b{number}",
            settings=BatchSettings(),
            class_name=name,
            expected_essay_count=1,
        )
        shop.receive("a.txt", batch_id=f"b{number}")
    shop.process_pending()
    page = LexborHTMLParser(audit_html(content_of(shop, DAY)))
    (said,) = (text(it) for it in page.css("desc") if "per 100 words" in text(it))
    told = "9B (b0): 9.1, 9B (b1): 9.1, R\u00e9a <i>[U+202E] (b2): 9.1"
    assert said == f"Misspellings per 100 words. {told}."
    heads = [text(it) for it in page.css(".dense tbody th")]
    assert heads == ["9B b0", "9B b1", "R\u00e9a <i>[U+202E] b2"]
    names = [it["class_name"] for it in content_of(shop, DAY).as_json()["batches"]]
    assert names == ["9B", "9B", "R\u00e9a <i>\u202e"]


@pytest.mark.parametrize(
    ("days", "said"),
    [((0.95, 2.0), "0–0.9: 1, 1–1.9: 0, 2–2.9: 1"), ((0.97, 2.04), "1–1.9: 1, 2–2.9: 1")],
)
def test_every_time_to_complete_is_in_the_range_that_its_bar_is_of(
    shop: Workshop, days: tuple[float, ...], said: str
) -> None:
    for number, it in enumerate(days):
        shop.clock.now = START
        shop.register(f"b{number}", expected=1)
        shop.receive("a.txt", batch_id=f"b{number}")
        shop.process_pending()
        shop.clock.now = START + timedelta(days=it)
        shop.release(f"b{number}")
    page = LexborHTMLParser(audit_html(content_of(shop, DAY + timedelta(days=3))))
    (found,) = (text(it) for it in page.css("desc") if "number of batches" in text(it))
    assert found.endswith(f"number of batches: {said}")
