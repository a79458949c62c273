"""The pages without a mouse, enlarged, and with few colours: nothing is out of reach or lost."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.axe import LEAST_CONTRAST, contrast
from tests.browser.chromium import Tab, Taste
from tests.browser.exhibits import PAGES, reports_of
from tests.browser.teacher import Teacher, enter
from tests.intake.served import Served

NARROWEST = (320, 640)
"""What is left of a window of 1280 pixels whose page is enlarged four times."""
TWICE = (640, 450)
"""What is left of it at twice the size."""
MOST_STOPS = 200
OPEN = "document.querySelectorAll('details').forEach((it) => { it.open = true; })"
STOP = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return null;
  const hidden = (node) => node && (node.hidden || getComputedStyle(node).visibility === "hidden");
  const seen = it.matches(".choose input") ? it.parentElement : it;
  const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(seen);
  const box = seen.getBoundingClientRect();
  return {
    kind: it.tagName.toLowerCase() + (it.type ? ` ${it.type}` : ""),
    name: (it.getAttribute("aria-label") || it.textContent || it.id).trim().slice(0, 60),
    outlined: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2,
    inView: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    place: [...document.querySelectorAll("*")].indexOf(it),
    hidden: hidden(it),
  };
}"""
REACHABLE = """() => [...document.querySelectorAll(
    "a[href], button, input, select, summary, [tabindex='0']")]
  .filter((it) => !it.disabled && it.type !== "hidden" && it.getClientRects().length).length"""


@pytest.fixture
def essay(tmp_path: Path) -> Path:
    """A file that is not handed in yet."""
    path = tmp_path / "a.txt"
    path.write_text("This essay is about teh sea and the ships on it.")
    return path


def stops(page: Page) -> list[dict[str, object]]:
    """Where the Tab key leads from the beginning of a page to its end."""
    found: list[dict[str, object]] = []
    page.evaluate("document.activeElement?.blur(); window.scrollTo(0, 0)")
    page.evaluate("getSelection().setBaseAndExtent(document.body, 0, document.body, 0)")
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or (found and stop["place"] == found[0]["place"]):
            return found
        found.append(stop)
    raise AssertionError(f"there is no way out: {found[-3:]}")


@pytest.mark.parametrize("name", ["hand in", "batch with everything wrong", "essay with marks"])
def test_every_stop_of_the_keyboard_is_seen_and_comes_in_the_order_of_the_page(
    browser: Browser, served: Served, token: str, name: str
) -> None:
    with enter(browser, served.url, token) as tab:
        tab.page.goto(PAGES[name])
        tab.page.evaluate(OPEN)
        found = stops(tab.page)
        assert [it for it in found if not (it["outlined"] and it["inView"])] == []
        places = [int(str(it["place"])) for it in found]
        assert places == sorted(places)
        # A date has a stop for each of its parts, which counts as one.
        assert len({*places}) == tab.page.evaluate(REACHABLE)


@pytest.mark.slow
@pytest.mark.parametrize("size", [TWICE, NARROWEST])
def test_an_enlarged_page_is_not_wider_than_its_window(
    browser: Browser, served: Served, token: str, size: tuple[int, int]
) -> None:
    wider = []
    with enter(browser, served.url, token, size) as tab:
        for name, path in PAGES.items():
            tab.page.goto(path)
            tab.page.evaluate(
                "document.querySelectorAll('details').forEach((it) => it.open = true)"
            )
            if tab.overflow() > 0:
                wider.append(name)
    tab = Tab(browser, served.url, size)
    for name, html in reports_of(served.shop).items():
        tab.page.set_content(html)
        if tab.overflow() > 0:
            wider.append(name)
    tab.close()
    assert wider == []


def test_a_table_that_is_wider_than_its_window_is_scrolled_by_keyboard(
    browser: Browser, served: Served
) -> None:
    tab = Tab(browser, served.url, NARROWEST)
    page = tab.page
    page.set_content(reports_of(served.shop)["report of incomplete"])
    table = page.get_by_role("region", name="Every file that was handed in")
    assert table.evaluate("it => it.scrollWidth > it.clientWidth")
    table.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("it => it.scrollLeft > 0", arg=table.element_handle())
    tab.close()


@pytest.mark.parametrize(
    "scheme", [Taste("light"), pytest.param(Taste("dark"), marks=pytest.mark.slow)]
)
def test_hints_inside_of_fields_can_be_read(
    browser: Browser, served: Served, token: str, scheme: Taste
) -> None:
    with enter(browser, served.url, token, taste=scheme) as tab:
        assert contrast(tab.page, "#class-name", "::placeholder") >= LEAST_CONTRAST


def test_which_text_is_shown_is_told_by_more_than_a_tint(
    browser: Browser, served: Served, token: str
) -> None:
    width = "it => getComputedStyle(it).borderBlockEnd.split(' rgb')[0]"
    with enter(browser, served.url, token, taste=Taste("dark", "active")) as tab:
        tab.page.goto(PAGES["essay with marks"])
        shown, other = (
            tab.page.get_by_role("link", name=it, exact=True) for it in ("As written", "Corrected")
        )
        assert shown.evaluate(width) == "2px solid"
        assert other.evaluate(width) == "0px none"
        other.press("Enter")
        assert other.evaluate(width) == "2px solid"


def test_words_of_another_language_are_said_to_be(
    browser: Browser, served: Served, token: str
) -> None:
    language = "it => it.closest('[lang]').lang"
    with enter(browser, served.url, token) as tab:
        page = tab.page
        page.goto(PAGES["essay in another language"])
        assert page.locator("html").get_attribute("lang") == "en"
        expect(page.locator("mark")).to_have_text(["havett"])
        assert page.locator("mark").evaluate(language) == "sv"
        assert page.locator(".tip-words").evaluate(language) == "sv"
        assert page.locator(".tip-why").evaluate(language) == "en"
        assert page.locator(".words .word").evaluate(language) == "sv"
        # A page that is set here in place of another would be bound by that one's policy.
        page.goto("about:blank")
        page.set_content(reports_of(served.shop)["report of svenska with its essays"])
        for word in page.get_by_text(re.compile("^havett?$")).all():
            assert word.evaluate(language) == "sv", word
        assert page.get_by_text(re.compile("^havett?$")).count() == 5


def test_the_rest_of_a_form_keeps_the_keyboard_where_it_was_after_handing_in(
    teacher: Teacher, essay: Path
) -> None:
    page = teacher.page
    status = page.locator("[data-summary]")
    # What will be told has to be there before it is told.
    expect(status).to_have_role("status")
    assert status.evaluate("it => it.getClientRects().length") == 1
    teacher.choose(essay)
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Watch the batch")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#e001")).to_contain_text("Waiting")
    page.locator("[data-files]").set_input_files(essay)
    expect(page.get_by_role("button", name="Hand in 1 file")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-summary]")).to_have_text("1 file kept.")
    expect(page.locator("[data-summary]")).to_be_focused()


def test_the_button_that_hands_in_keeps_the_keyboard_while_it_works(
    teacher: Teacher, essay: Path
) -> None:
    page = teacher.page
    held: list[Route] = []
    page.route("**/v1/files/batch", lambda route: held.append(route))
    teacher.choose(essay)
    with page.expect_request("**/v1/files/batch"):
        page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Handing in…")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    (request,) = held
    request.continue_()
    expect(page.get_by_role("link", name="Watch the batch")).to_be_focused()
    assert teacher.kept() == ["a.txt"]


def test_the_keyboard_stays_where_it_is_while_the_page_follows_its_batch(
    browser: Browser, served: Served, token: str
) -> None:
    with enter(browser, served.url, token) as tab:
        page = tab.page
        held: list[Route] = []
        page.route("**/live", lambda route: held.append(route))
        with page.expect_request("**/live"):
            page.goto(PAGES["batch that is worked on"])
        more = page.locator("#e001 summary")
        more.focus()
        held[0].continue_()
        expect(page.locator("[data-announce]")).to_have_text(re.compile("Being checked"))
        expect(more).to_be_focused()


def test_what_happens_to_a_batch_is_announced(teacher: Teacher, essay: Path) -> None:
    page, shop = teacher.page, teacher.served.shop
    teacher.choose(essay)
    teacher.hand_in()
    page.get_by_role("link", name="Watch the batch").click()
    said = page.locator("[data-announce]")
    expect(said).to_have_role("status")
    expect(page.locator("#e001")).to_contain_text("Waiting")
    shop.process_pending()
    expect(said).to_have_text("Taking essays: 1 of 1 essays have their result.")


NAMES = """() => [...document.querySelectorAll("main a[href], main button, main summary")]
  .map((it) => [it.textContent.replace(/\\s+/g, " ").trim(),
    it.href || it.form?.action || it.parentElement.id || it.parentElement.textContent])"""


@pytest.mark.parametrize("name", ["batch with everything wrong", "batch that is released"])
def test_no_two_things_to_do_have_the_same_name(
    browser: Browser, served: Served, token: str, name: str
) -> None:
    with enter(browser, served.url, token) as tab:
        tab.page.goto(PAGES[name])
        targets: dict[str, set[str]] = {}
        for said, target in tab.page.evaluate(NAMES):
            targets.setdefault(said, set()).add(target)
    assert {said: found for said, found in targets.items() if len(found) > 1} == {}
