"""A teacher at the pages of a running installation, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import Tab
from tests.browser.conftest import SAMPLES, Open

TEN = sorted(SAMPLES.iterdir())[:10]


def hand_in(tab: Tab, paths: list[Path], *, name: str, expected: int | None = None) -> Page:
    """Register a class and drop its files; ends when every file has its result."""
    page = tab.page
    page.get_by_label("Class").fill(name)
    if expected is not None:
        page.get_by_label("Essays expected").fill(str(expected))
    tab.drop(page.locator("[data-drop]"), paths)
    page.get_by_role("button", name=re.compile("^Hand in")).click()
    expect(page.get_by_role("link", name="Watch the batch")).to_be_visible()
    expect(page.locator("[data-list] li.sending, [data-list] li.waiting")).to_have_count(0)
    return page


@pytest.mark.slow
def test_ten_files_are_dropped_settle_live_and_one_is_read(visit: Open) -> None:
    tab = visit()
    page = hand_in(tab, TEN, name="9B", expected=10)
    expect(page.locator("[data-list] li.kept")).to_have_count(10)
    expect(page.get_by_role("status")).to_have_text("All 10 files are kept.")
    expect(page.locator("[data-list] li").first).to_contain_text("Kept as e001.")

    page.get_by_role("link", name="Watch the batch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("9B")
    page.evaluate("window.same = true")
    expect(page.locator(".status-line .badge")).to_have_text("Ready")
    assert page.evaluate("window.same"), "the page was loaded again"
    expect(page.locator(".essay.accepted")).to_have_count(7)
    expect(page.locator("#e003")).to_contain_text("EMPTY_CONTENT")
    expect(page.locator("#e003")).to_contain_text("hand in the one with the essay")

    page.get_by_role("link", name="01-anna-lindqvist.docx").click()
    mark = page.get_by_text("becouse", exact=True).first
    tip = page.locator(f"#{mark.get_attribute('aria-describedby')}")
    expect(tip).to_be_hidden()
    while not mark.evaluate("it => it === document.activeElement"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement !== document.body"), "the mark was not met"
    expect(tip).to_be_visible()
    expect(tip).to_contain_text("because")
    expect(tip).to_contain_text("Certain")
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    mark.hover()
    expect(tip).to_be_visible()

    expect(page.locator("#corrected")).to_be_hidden()
    page.get_by_role("link", name="Corrected", exact=True).press("Enter")
    expect(page.locator("#corrected")).to_contain_text("because")
    expect(page.locator("#as-written")).to_be_hidden()
    page.get_by_role("link", name="e002").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("02-bilal-haddad.odt")
