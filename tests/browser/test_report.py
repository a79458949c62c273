"""The batch report as a browser shows it and prints it."""

from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.reports.batch import batch_html
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.printing import pdf_of
from huleedu_dagster.reports.sheets import sheets_of
from tests.browser.chromium import DESKTOP, PHONE
from tests.support.workshop import Workshop

A4_POINTS = (595, 842)
LONG = "This essay is about teh sea and the ships on it. " * 30
UNBROKEN = f"{'x' * 90}.txt"


@pytest.fixture
def html(tmp_path: Path) -> Iterator[str]:
    """A report with two essays, one of which has a long name without a break, and an empty one."""
    shop = Workshop(tmp_path)
    shop.register(expected=4)
    shop.receive("essay.txt", LONG.encode())
    shop.receive(UNBROKEN, (LONG + "More.").encode())
    shop.receive("empty.txt", b"")
    shop.process_pending()
    shop.close(reason=ClosedBy.REQUEST)
    report = BatchReport.of(shop.facts(), shop.blobs)
    yield batch_html(report, list(sheets_of(shop.facts(), report, shop.blobs)))
    shop.ledger.close()


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
def test_it_prints_on_a4_with_each_essay_on_its_own_page(html: str) -> None:
    found = pypdfium2.PdfDocument(pdf_of(html))
    try:
        texts = []
        for page in found:
            assert tuple(round(it) for it in page.get_size()) == A4_POINTS
            texts.append(page.get_textpage().get_text_range())
    finally:
        found.close()
    assert texts[0].startswith("Report of class-a: incomplete")
    begins = [it.split("\r\n")[0] for it in texts]
    assert begins[-3:] == ["e001 essay.txt", "e002", "e003 empty.txt"]
    whole = " ".join(texts)
    assert "Commonest misspellings of the class" in whole
    assert "The file has no text in it." in whole
    assert "Nothing was handed in for: e004." in whole
