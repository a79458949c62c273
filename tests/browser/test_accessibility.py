"""No page has a barrier that axe-core finds: in both schemes, wide and narrow, in every state."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.reports.audit import write_audit_report
from tests.browser.axe import contrast, findings
from tests.browser.chromium import PHONE, Tab, Taste
from tests.browser.exhibits import PAGES, reports_of
from tests.browser.teacher import enter, signed_in
from tests.intake.served import Served
from tests.support.workshop import Workshop

WIDE = (1280, 900)
LIGHT, DARK = Taste("light"), Taste("dark")
FORCED = Taste("dark", "active")
EVERY_LOOK = [(size, taste) for size in (WIDE, PHONE) for taste in (LIGHT, DARK)]
ESSENTIAL = ("hand in", "batch with everything wrong", "essay with marks")
DAY = date(2026, 11, 22)


SHAPES = """[...document.querySelectorAll(".chart text, .chart rect, .chart line")].map((it) => {
  const { fill, stroke } = getComputedStyle(it);
  return { of: it.localName === "text" ? "text" : it.getAttribute("class"), fill, stroke };
})"""


def barriers(page: Page, name: str) -> list[str]:
    """What keeps somebody from using a page as it is, with all that can be opened open."""
    page.evaluate("document.querySelectorAll('details').forEach((it) => { it.open = true; })")
    return [f"{name}: {it}" for it in findings(page).barriers]


def barriers_of_site(tab: Tab, pages: Mapping[str, str]) -> list[str]:
    """The same of pages of the intake that are opened one after the other."""
    return barriers_of_each(tab, pages, tab.page.goto)


def barriers_of_reports(tab: Tab, pages: Mapping[str, str]) -> list[str]:
    """The same of pages that are files."""
    return barriers_of_each(tab, pages, tab.page.set_content)


def barriers_of_each(
    tab: Tab, pages: Mapping[str, str], show: Callable[[str], object]
) -> list[str]:
    """The same of pages that are shown one after the other, and what is too wide in them."""
    found = []
    for name, it in pages.items():
        show(it)
        found += barriers(tab.page, name)
        if tab.overflow() > 0:
            found.append(f"{name}: wider than its window by {tab.overflow()} pixels")
    return found


def test_what_is_looked_for_is_found(browser: Browser) -> None:
    page = browser.new_page()
    small = "<button style='width:9px;height:9px;padding:0'></button>"
    page.set_content(
        "<html><head><title>A page</title></head><body><main><h1>Page</h1>"
        f"<p style='color:#999;background:#fff'>faint</p><img src='x'>{small}{small}<h4>Deep</h4>"
        "<svg role='img' aria-label='chart'><text y='20' fill='#aaa'>faint too</text></svg>"
        "</main></body></html>"
    )
    found = findings(page).barriers
    assert {it.rule for it in found} >= {
        "html-has-lang",
        "color-contrast",
        "image-alt",
        "button-name",
        "target-size",
        "heading-order",
    }
    # What axe-core cannot decide is measured, and not let pass.
    assert [it.target for it in found if "image node" in it.why] == ["text"]
    assert 2 < contrast(page, "text") < 3 < 20 < contrast(page, "h1") < 21.1
    page.close()


def test_no_page_of_the_intake_has_a_barrier(browser: Browser, served: Served, token: str) -> None:
    with enter(browser, served.url, token, WIDE, LIGHT) as tab:
        found = barriers_of_site(tab, PAGES)
    assert not found, "\n".join(found)


def test_essential_pages_have_none_on_a_dark_phone(
    browser: Browser, served: Served, token: str
) -> None:
    with enter(browser, served.url, token, PHONE, DARK) as tab:
        found = barriers_of_site(tab, {it: PAGES[it] for it in ESSENTIAL})
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "taste"), [*EVERY_LOOK[1:], (WIDE, FORCED)])
def test_no_page_has_one_in_any_look(
    browser: Browser, served: Served, token: str, size: tuple[int, int], taste: Taste
) -> None:
    with enter(browser, served.url, token, size, taste) as tab:
        found = barriers_of_site(tab, PAGES)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("size", "taste"),
    [(WIDE, LIGHT), (WIDE, FORCED), pytest.param(PHONE, DARK, marks=pytest.mark.slow)],
)
def test_no_report_and_no_sheet_has_one(
    browser: Browser, served: Served, size: tuple[int, int], taste: Taste
) -> None:
    tab = Tab(browser, served.url, size, taste)
    found = barriers_of_reports(tab, reports_of(served.shop))
    tab.close()
    assert not found, "\n".join(found)


def audit_of(shop: Workshop) -> str:
    """The page of the audit of the day on which all was made."""
    key = write_audit_report(shop.ledger, shop.blobs, DAY).blob_keys[ContentType.AUDIT_REPORT_HTML]
    return shop.blobs.get(key, key.rsplit("/", 1)[-1]).decode()


@pytest.mark.parametrize(
    ("size", "taste"),
    [(WIDE, LIGHT), (WIDE, FORCED), pytest.param(PHONE, LIGHT, marks=pytest.mark.slow)],
)
def test_no_audit_report_has_one(
    browser: Browser, served: Served, size: tuple[int, int], taste: Taste
) -> None:
    tab = Tab(browser, served.url, size, taste)
    found = barriers_of_reports(tab, {"audit": audit_of(served.shop)})
    tab.close()
    assert not found, "\n".join(found)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_are_drawn_in_the_few_colours_of_whoever_forces_theirs(
    browser: Browser, served: Served, scheme: Literal["light", "dark"]
) -> None:
    reports = {"audit": audit_of(served.shop), **reports_of(served.shop)}
    tab = Tab(browser, served.url, WIDE, Taste(scheme, "active"))
    found: dict[str, list[dict[str, str]]] = {}
    for name, html in reports.items():
        tab.page.set_content(html)
        found[name] = tab.page.evaluate(SHAPES)
    tab.close()
    ink, paper = ("rgb(0, 0, 0)", "rgb(255, 255, 255)")[:: 1 if scheme == "light" else -1]
    wanted = {
        "text": {"fill": ink},
        "bar": {"fill": ink},
        "bar second": {"fill": paper, "stroke": ink},
        "axis": {"stroke": ink},
        "grid": {"stroke": ink},
    }
    shapes = [(name, it) for name, of_page in found.items() for it in of_page]
    assert {it["of"] for _, it in shapes} == wanted.keys()
    for name, it in shapes:
        assert wanted[it["of"]].items() <= it.items(), name


@pytest.mark.slow
@pytest.mark.parametrize(("size", "taste"), EVERY_LOOK)
def test_no_essay_has_one_while_its_suggestions_and_its_corrected_text_are_shown(
    browser: Browser, served: Served, token: str, size: tuple[int, int], taste: Taste
) -> None:
    found = []
    with enter(browser, served.url, token, size, taste) as tab:
        page = tab.page
        page.goto(PAGES["essay with marks"])
        for mark in page.locator("mark").all():
            mark.focus()
            expect(page.locator(f"#{mark.get_attribute('aria-describedby')}")).to_be_visible()
            found += barriers(page, f"suggestion for {mark.text_content()}")
        page.get_by_role("link", name="Corrected", exact=True).press("Enter")
        found += barriers(page, "corrected text")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "taste"), EVERY_LOOK)
def test_nobody_is_hindered_from_signing_in(
    browser: Browser, served: Served, size: tuple[int, int], taste: Taste
) -> None:
    tab = Tab(browser, served.url, size, taste)
    page = tab.page
    page.goto("/sign-in")
    found = barriers(page, "sign in")
    page.get_by_label("Token").fill("hul_wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    expect(page.get_by_label("Token")).to_have_accessible_description(re.compile("not valid"))
    found += barriers(page, "wrong token")
    tab.close()
    assert not found, "\n".join(found)


SENT = """([action, fields]) => {
  const form = document.createElement("form");
  Object.assign(form, { method: "post", action });
  const token = document.querySelector('meta[name="csrf-token"]').content;
  for (const [name, value] of Object.entries({ csrf_token: token, ...fields })) {
    form.append(Object.assign(document.createElement("input"), { name, value }));
  }
  document.body.append(form);
  form.submit();
}"""
REFUSED: tuple[tuple[int, str, dict[str, str]], ...] = (
    (403, "/batches/open/close", {"csrf_token": "of another session"}),
    (404, "/batches/nowhere/close", {}),
    (409, "/batches/incomplete/essays/e001/waive", {"reason": "no reason"}),
    (422, "/batches/incomplete/essays/e006/waive", {"reason": " "}),
)


@pytest.mark.slow
@pytest.mark.parametrize("taste", [LIGHT, DARK])
def test_no_page_about_an_error_has_one(
    browser: Browser, served: Served, token: str, taste: Taste
) -> None:
    found = []
    with enter(browser, served.url, token, PHONE, taste) as tab:
        page = tab.page
        for status, action, fields in REFUSED:
            page.goto("/")
            with page.expect_navigation() as sent:
                page.evaluate(SENT, [action, fields])
            assert sent.value is not None
            assert sent.value.status == status
            found += barriers(page, f"{status} {action}")
        served.shop.blobs.fail("get", "extracted_plaintext", 1)
        answer = page.goto(PAGES["essay with marks"])
        assert answer is not None
        assert answer.status == 503
        found += barriers(page, "503")
        page.context.clear_cookies()
        with page.expect_navigation() as sent:
            page.evaluate(SENT, ["/batches/open/close", {}])
        assert sent.value is not None
        assert sent.value.status == 401
        found += barriers(page, "401")
    assert not found, "\n".join(found)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "taste"), EVERY_LOOK)
def test_handing_in_has_none_before_during_and_after_it(
    browser: Browser, tmp_path: Path, size: tuple[int, int], taste: Taste
) -> None:
    found = []
    with signed_in(browser, tmp_path / "home", size, taste=taste) as teacher:
        page = teacher.page
        good, large = tmp_path / "good.txt", tmp_path / "large.txt"
        good.write_text("This essay is about teh sea and the ships on it.")
        large.write_bytes(b"x" * 100_001)
        page.get_by_label("Essays expected").fill("100")
        teacher.choose(good, large)
        teacher.hand_in()
        expect(page.get_by_label("Essays expected")).to_be_focused()
        found += barriers(page, "wrong values")
        page.get_by_label("Essays expected").fill("1")
        held: list[Route] = []
        page.route("**/v1/files/batch", lambda route: held.append(route))
        with page.expect_request("**/v1/files/batch"):
            teacher.hand_in()
        expect(page.locator("li.sending")).to_have_count(1)
        found += barriers(page, "on its way")
        held[0].continue_()
        expect(page.locator("li.kept")).to_have_count(1)
        expect(page.locator("li.failed")).to_have_count(1)
        # Axe-core loses the headings of a list that is exchanged while it looks.
        expect(page.locator("[data-batches] li")).to_have_count(1)
        found += barriers(page, "handed in")
    assert not found, "\n".join(found)
