"""The pages in a browser that runs no scripts: all but handing in works."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from huleedu_dagster.domain.access import Scope
from tests.intake.forms import GOOD, hand_in, register
from tests.intake.served import Served, serving

pytestmark = pytest.mark.slow


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A server with a class of two, of which one essay came."""
    with serving(tmp_path) as found:
        client = found.operator()
        register(client, expected=2)
        hand_in(client, {"a.txt": GOOD})
        found.shop.process_pending()
        yield found


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """Somebody who is signed in and lets no scripts run."""
    context = browser.new_context(base_url=served.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/batches/class-a")
    page.get_by_label("Token").fill(served.token("person", *Scope))
    page.get_by_role("button", name="Sign in").click()
    yield page
    context.close()


def test_a_batch_is_closed_and_its_missing_essay_waived_by_plain_forms(
    page: Page, served: Served
) -> None:
    expect(page.locator("#e001")).to_contain_text("Accepted")
    page.get_by_role("button", name="Close the batch").click()
    expect(page.locator("#standing")).to_contain_text("someone closed it")
    page.locator("#e002-more summary").click()
    page.get_by_label("Why").fill("ill on the day")
    page.get_by_role("button", name="Waive").click()
    expect(page.locator("#e002")).to_contain_text("ill on the day")
    assert served.shop.view().waived == 1


def test_an_essay_shows_both_texts_and_its_suggestions_on_focus(page: Page) -> None:
    page.get_by_role("link", name="a.txt").click()
    expect(page.locator("#as-written")).to_be_visible()
    expect(page.locator("#corrected")).to_be_visible()
    expect(page.locator(".tip")).to_be_hidden()
    page.locator("mark").focus()
    expect(page.locator(".tip")).to_be_visible()
