"""Each fault, injected for real and scraped for real, makes its alert fire and no other."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.orchestration.probes import WATCHED_DAEMONS
from huleedu_dagster.pipeline import lifecycle
from tests.intake.served import Served
from tests.intake.test_metrics import beat, scrape
from tests.support.alerting import RULES, Scrape, firing, rules

_UP = ("up", (("job", "huleedu-intake"),))
_STEP_SECONDS = 60
_HEALTHY_STEPS = 3
_FAULTY_STEPS = 25


class Site:
    """A running installation that somebody scrapes once a minute, by the ledger's clock."""

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = served.shop
        self.monkeypatch = monkeypatch
        self.scrapes: list[Scrape] = []
        self.is_gone = False
        self._client = served.client(served.token("prometheus", Scope.METRICS))
        beat(self.home, **dict.fromkeys(WATCHED_DAEMONS, 20.0))

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.shop.folder

    def scrape(self, times: int) -> None:
        """Let minutes pass."""
        for _ in range(times):
            self.shop.clock.advance(_STEP_SECONDS)
            at = len(self.scrapes) * _STEP_SECONDS
            self.scrapes.append(Scrape(at, self._samples()))

    def work(self) -> None:
        """What the daemon leads to."""
        self.shop.process_pending()
        lifecycle.close_what_is_due(self.shop.ledger, quiet_seconds=30)

    def _samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        if self.is_gone:
            return {_UP: 0.0}
        try:
            return {**scrape(self._client), _UP: 1.0}
        except (AssertionError, httpx.HTTPError):
            return {_UP: 0.0}


@pytest.fixture
def site(served: Served, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An installation in which a class was just taken through."""
    found = Site(served, monkeypatch)
    found.shop.register("healthy", expected=2, timeout=100_000)
    found.shop.receive("a.txt", batch_id="healthy")
    found.shop.receive("b.txt", b"", batch_id="healthy")
    found.work()
    found.shop.release("healthy")
    return found


def nothing(_site: Site) -> None:
    """No fault."""


def dead_letter(site: Site) -> None:
    """An essay fails too often for reasons of infrastructure."""
    site.shop.register(expected=1)
    site.shop.receive("a.txt")
    site.shop.fail_until_dead()


def timed_out(site: Site) -> None:
    """A class whose second essay never comes."""
    site.shop.register(expected=2, timeout=30)
    site.shop.receive("a.txt")
    site.work()
    site.shop.clock.advance(60)
    site.work()


def stuck(site: Site) -> None:
    """Essays that nobody takes through, although the daemon beats."""
    site.shop.register(expected=2)
    site.shop.receive("a.txt")


def not_closed(site: Site) -> None:
    """A batch that nobody closes, although the daemon beats."""
    site.shop.register(expected=2, timeout=30)


def daemon_gone(site: Site) -> None:
    """The daemon ends."""
    beat(site.home, **dict.fromkeys(WATCHED_DAEMONS, 300.0))


def daemon_never_there(site: Site) -> None:
    """The daemon was never started."""
    beat(site.home)


def one_daemon_stuck(site: Site) -> None:
    """The sensors do not tick any more; all else does."""
    beat(site.home, **{**dict.fromkeys(WATCHED_DAEMONS, 20.0), "SENSOR": 300.0})


def dagster_database_gone(site: Site) -> None:
    """Dagster's database is not there."""
    shutil.rmtree(site.home / "dagster")


def disk_nearly_full(site: Site) -> None:
    """A disk of 100 GB with 9 GB free."""
    usage = SimpleNamespace(total=100 * 10**9, used=91 * 10**9, free=9 * 10**9)
    site.monkeypatch.setattr(shutil, "disk_usage", lambda _home: usage)


def intake_gone(site: Site) -> None:
    """Nobody answers any more."""
    site.is_gone = True


def ledger_gone(site: Site) -> None:
    """The ledger is no database any more."""
    site.shop.ledger.close()
    (site.home / "ledger.db").write_bytes(b"x" * 4_096)
    for ending in ("-wal", "-shm"):
        (site.home / f"ledger.db{ending}").unlink(missing_ok=True)


FAULTS: list[tuple[Callable[[Site], None], str]] = [
    (dead_letter, "HuleEduDeadLetters"),
    (timed_out, "HuleEduBatchTimeouts"),
    (stuck, "HuleEduStuckEssays"),
    (not_closed, "HuleEduBatchesNotClosed"),
    (daemon_gone, "HuleEduDaemonGone"),
    (daemon_never_there, "HuleEduDaemonGone"),
    (one_daemon_stuck, "HuleEduDaemonGone"),
    (dagster_database_gone, "HuleEduDagsterDatabaseGone"),
    (disk_nearly_full, "HuleEduDiskNearlyFull"),
    (intake_gone, "HuleEduIntakeGone"),
    (ledger_gone, "HuleEduIntakeGone"),
]


@pytest.mark.parametrize(("fault", "alert"), FAULTS, ids=[it.__name__ for it, _ in FAULTS])
def test_a_fault_makes_its_alert_fire_and_no_other(
    site: Site, fault: Callable[[Site], None], alert: str
) -> None:
    site.scrape(_HEALTHY_STEPS)
    assert firing(site.scrapes) == set()
    fault(site)
    site.scrape(_FAULTY_STEPS)
    assert firing(site.scrapes) == {alert}


def test_without_a_fault_nothing_fires(site: Site) -> None:
    nothing(site)
    site.scrape(_HEALTHY_STEPS + _FAULTY_STEPS)
    assert firing(site.scrapes) == set()


@pytest.mark.parametrize(
    ("fault", "alert"),
    [
        (daemon_gone, "HuleEduDaemonGone"),
        (dagster_database_gone, "HuleEduDagsterDatabaseGone"),
    ],
    ids=["daemon", "database"],
)
def test_what_follows_from_a_fault_is_what_its_alert_lists(
    site: Site, fault: Callable[[Site], None], alert: str
) -> None:
    site.scrape(_HEALTHY_STEPS)
    fault(site)
    # Classes go on handing in, and nobody takes them through or closes them.
    stuck(site)
    site.shop.register("another", expected=2, timeout=30)
    site.scrape(_FAULTY_STEPS)
    (rule,) = [it for it in rules() if it.name == alert]
    assert firing(site.scrapes) == {alert, *rule.consequences}


def test_every_alert_has_a_fault_that_it_was_seen_to_fire_for() -> None:
    assert {alert for _, alert in FAULTS} == {it.name for it in rules()}
    assert RULES.is_file()
