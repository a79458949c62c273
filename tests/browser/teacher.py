"""A teacher in a browser at a server of the test's own process, whose results come when asked."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from huleedu_dagster.domain.access import Scope
from tests.browser.chromium import DESKTOP, Tab, Taste
from tests.intake.served import LIMITS, Served, serving


@dataclass
class Teacher:
    """A teacher who is signed in at the drop page, and the server behind it."""

    served: Served
    tab: Tab

    @property
    def page(self) -> Page:
        """What is open."""
        return self.tab.page

    def choose(self, *paths: Path) -> None:
        """Choose files."""
        self.page.locator("[data-files]").set_input_files(paths)

    def hand_in(self) -> None:
        """Hand in what was chosen."""
        self.page.get_by_role("button", name=re.compile("^Hand in")).click()

    def kept(self) -> list[str]:
        """Paths of all files that the server kept, once for each upload."""
        with self.served.shop.ledger.read() as tx:
            found = tx.batches.all()
            return [up.path for it in found for up in tx.essays.uploads_of(it.batch_id)]


@contextmanager
def signed_in(
    browser: Browser,
    home: Path,
    size: tuple[int, int],
    *,
    retry_seconds: int = 1,
    taste: Taste = Taste(),  # noqa: B008 - it does not change
) -> Iterator[Teacher]:
    """A teacher who signed in with a token, at a server that lets wait so long."""
    home.mkdir()
    limits = replace(LIMITS, retry_seconds=retry_seconds, max_files=100)
    with serving(home, limits) as served:
        token = served.token("teacher", *Scope)
        with enter(browser, served.url, token, size, taste) as tab:
            yield Teacher(served, tab)


@contextmanager
def enter(
    browser: Browser,
    url: str,
    token: str,
    size: tuple[int, int] = DESKTOP,
    taste: Taste = Taste(),  # noqa: B008 - it does not change
) -> Iterator[Tab]:
    """Somebody who signs in with a token, by the form."""
    tab = Tab(browser, url, size, taste)
    try:
        tab.page.goto("/")
        tab.page.get_by_label("Token").fill(token)
        tab.page.get_by_role("button", name="Sign in").click()
        expect(tab.page.get_by_role("heading", level=1)).to_have_text("Hand in essays")
        # Its scripts run when it is read to its end.
        tab.page.wait_for_load_state()
        yield tab
    finally:
        tab.close()
