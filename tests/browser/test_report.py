"""The batch report as a browser shows it and prints it."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser
from selectolax.lexbor import LexborHTMLParser

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.reports.batch import batch_html
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.charts import histogram
from huleedu_dagster.reports.figures import distribution
from huleedu_dagster.reports.printing import pdf_of
from huleedu_dagster.reports.sheets import sheets_of
from huleedu_dagster.reports.templates import render
from tests.browser.chromium import DESKTOP, PHONE
from tests.support.workshop import Workshop

A4_POINTS = (595, 842)
LONG = "This essay is about teh sea and the ships on it. " * 30
UNBROKEN = f"{'x' * 90}.txt"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """A ledger, a store and a pipeline in an empty folder."""
    found = Workshop(tmp_path)
    yield found
    found.ledger.close()


@pytest.fixture
def html(shop: Workshop) -> str:
    """A report with two essays, one of which has a long name without a break, and an empty one."""
    shop.register(expected=4)
    shop.receive("essay.txt", LONG.encode())
    shop.receive(UNBROKEN, (LONG + "More.").encode())
    shop.receive("empty.txt", b"")
    shop.process_pending()
    shop.close(reason=ClosedBy.REQUEST)
    report = BatchReport.of(shop.facts(), shop.blobs)
    return batch_html(report, list(sheets_of(shop.facts(), report, shop.blobs)))


def lines_of(pdf: bytes) -> list[list[str]]:
    """The lines of each page, which begin with its number at its foot."""
    found = pypdfium2.PdfDocument(pdf)
    try:
        pages = [it.get_textpage().get_text_range().split("\r\n") for it in found]
    finally:
        found.close()
    numbers = [it.pop(0) for it in pages]
    assert numbers == [f"{it} / {len(pages)}" for it in range(1, len(pages) + 1)]
    return pages


def batch_page_with(chart: str) -> str:
    """A chart in the style sheet of the report."""
    return render("batch_base.html").replace("<main>", f"<main>{chart}")


@pytest.mark.slow
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
def test_the_page_fits_its_window_and_asks_for_nothing(
    browser: Browser, html: str, size: tuple[int, int]
) -> None:
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    asked: list[str] = []
    told: list[str] = []
    page.on("request", lambda it: asked.append(it.url))
    page.on("console", lambda it: told.append(it.text))
    page.set_content(html)
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) == 0
    assert (asked, told) == ([], [])
    chart = page.get_by_role("img", name="Length of the essays")
    box = chart.bounding_box()
    assert box is not None
    assert box["width"] > 250
    # Every stop of the keyboard is seen.
    page.keyboard.press("Tab")
    width = "getComputedStyle(document.activeElement).outlineWidth"
    assert page.evaluate(width) == "3px"
    context.close()


@pytest.mark.slow
@pytest.mark.parametrize("shortest", [1, 40, 250, 990, 9_900, 99_000])
def test_no_words_of_a_chart_lie_on_others(browser: Browser, shortest: int) -> None:
    lengths = [shortest + number * max(1, shortest // 12) for number in range(12)]
    page = browser.new_page()
    page.set_content(
        batch_page_with(
            histogram(distribution(lengths), name="lengths", title="Length", axis="Words")
        )
    )
    boxes = [it.bounding_box() for it in page.locator("svg text").all()]
    assert len(boxes) > 10
    for one, other in itertools.combinations(filter(None, boxes), 2):
        beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
        above = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert beside or above, (one, other)
    page.close()


@pytest.mark.slow
def test_no_heading_is_left_alone_at_the_foot_of_a_printed_page(
    browser: Browser, shop: Workshop
) -> None:
    shop.register("long", expected=32)
    for number in range(30):
        text = b"" if number % 7 == 0 else f"{LONG} {number}".encode()
        shop.receive(f"{number:02d}.txt", text, batch_id="long")
    shop.process_pending()
    shop.close("long")
    html = batch_html(BatchReport.of(shop.facts("long"), shop.blobs))
    heads = {
        " ".join(it.text(separator=" ").split())
        for it in LexborHTMLParser(html).css("h2, caption, thead")
    }
    assert "Word Suggestions Confidence Times Essays Where, and how often" in heads
    page = browser.new_page()
    for millimetres in range(0, 240, 6):
        spacer = f'<div style="height: {millimetres}mm"></div><section'
        page.set_content(html.replace("<section", spacer))
        texts = lines_of(page.pdf(prefer_css_page_size=True))
        for number, lines in enumerate(texts, 1):
            # A page may have no more on it than the room before a part.
            assert not lines or lines[-1] not in heads, (
                f"page {number} with {millimetres} mm before each part"
            )
            # Where a table goes on, its head is there again.
            assert not lines or not re.match(r"(e\d{3}|teh) ", lines[0]), lines[0]
    page.close()


@pytest.mark.slow
def test_it_prints_on_a4_with_each_essay_on_its_own_page(html: str) -> None:
    pdf = pdf_of(html)
    found = pypdfium2.PdfDocument(pdf)
    try:
        assert {tuple(round(side) for side in it.get_size()) for it in found} == {A4_POINTS}
        titles = [it.get_title() for it in found.get_toc()]
    finally:
        found.close()
    pages = lines_of(pdf)
    assert pages[0][0] == "Report of class-a: incomplete"
    assert [it[0] for it in pages[-3:]] == ["e001 essay.txt", "e002", "e003 empty.txt"]
    whole = " ".join(" ".join(it) for it in pages)
    assert "Commonest misspellings of the class" in whole
    assert "The file has no text in it." in whole
    assert "Nothing was handed in for: e004." in whole
    # Who has it read aloud finds headings, tables and the language; everybody finds an essay.
    assert re.search(rb"/Marked true", pdf)
    assert re.search(rb"/Lang ?\(en\)", pdf)
    assert "Report of class-a: incomplete" in titles
    assert "e003 empty.txt" in titles
