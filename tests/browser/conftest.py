"""One `huleedu up` and one browser for all tests of a module."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from huleedu_dagster.domain.access import Scope
from tests.browser.chromium import DESKTOP, PHONE, Tab, chromium
from tests.browser.exhibits import exhibition
from tests.browser.teacher import Teacher, signed_in
from tests.e2e.site import Site
from tests.intake.served import Served

SAMPLES = Path(__file__).parents[2] / "samples"

Open = Callable[..., Tab]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A running installation."""
    found = Site(tmp_path_factory.mktemp("site") / "home", SAMPLES)
    try:
        found.serve()
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running browser."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An intake with batches in every state."""
    with exhibition(tmp_path_factory.mktemp("exhibition")) as found:
        yield found


@pytest.fixture(scope="module")
def token(served: Served) -> str:
    """A token for everything."""
    return served.token("everything", *Scope)


@pytest.fixture
def teacher(browser: Browser, tmp_path: Path) -> Iterator[Teacher]:
    """A teacher who is signed in at the drop page, and the server behind it."""
    with signed_in(browser, tmp_path / "home", DESKTOP) as found:
        yield found


@pytest.fixture
def teacher_on_a_phone(browser: Browser, tmp_path: Path) -> Iterator[Teacher]:
    """The same with a small screen that is touched."""
    with signed_in(browser, tmp_path / "home", PHONE) as found:
        yield found


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Open]:
    """Opens the pages as a person does; at the end the browser must have had no complaint."""
    tabs: list[Tab] = []

    def opened(path: str = "/", size: tuple[int, int] = DESKTOP) -> Tab:
        tab = Tab(browser, f"http://127.0.0.1:{site.intake_port}", size)
        tabs.append(tab)
        tab.page.goto(path)
        return tab

    yield opened
    for tab in tabs:
        tab.close()
    assert [it for tab in tabs for it in tab.complaints] == []
