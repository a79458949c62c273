"""Each fault, injected for real and scraped for real, makes its alert fire and no other."""

import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.intake.metrics import METRICS_PATH
from huleedu_dagster.orchestration.probes import WATCHED_DAEMONS
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.relay.port import DeliveryError, Envelope
from huleedu_dagster.relay.relaying import Relaying
from tests.intake.served import Served
from tests.intake.test_metrics import Samples, beat, samples_of
from tests.support.alerting import RULES, Scrape, evaluate, ever_firing, firing, rules

_UP = ("up", (("job", "huleedu-intake"),))
_REFUSED = (401, 500, 503)
_PATIENCE_SECONDS = 60
_BOTH = ("one:8000", "two:8000")
_STEP_SECONDS = 60
_HEALTHY_STEPS = 3
_FAULTY_STEPS = 25


class Site:
    """A running installation that somebody scrapes once a minute, by the ledger's clock.

    Attributes:
        url: Where it is asked; `None` when it is not asked at all.
        beats: How old the heartbeats of Dagster's daemon are at each scrape, seconds; `None` when
            they are left as they are.
    """

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = served.shop
        self.monkeypatch = monkeypatch
        self.scrapes: list[Scrape] = []
        self.url: str | None = served.url
        self.beats: dict[str, float] | None = dict.fromkeys(WATCHED_DAEMONS, 20.0)
        self._client = served.client(served.token("prometheus", Scope.METRICS))

    @property
    def home(self) -> Path:
        """The home folder."""
        return self.shop.folder

    def scrape(self, times: int) -> None:
        """Let minutes pass."""
        for _ in range(times):
            self.shop.clock.advance(_STEP_SECONDS)
            if self.beats is not None:
                beat(self.home, **self.beats)
            at = len(self.scrapes) * _STEP_SECONDS
            self.scrapes.append(Scrape(at, self._samples()))

    def work(self) -> None:
        """What the daemon leads to."""
        self.shop.process_pending()
        lifecycle.close_what_is_due(self.shop.ledger, quiet_seconds=30)

    def _samples(self) -> Samples:
        if self.url is None:
            return {}
        try:
            answer = self._client.get(f"{self.url}{METRICS_PATH}", timeout=_PATIENCE_SECONDS)
        except httpx.ConnectError:
            return {_UP: 0.0}
        if answer.status_code in _REFUSED:
            return {_UP: 0.0}
        assert answer.status_code == 200, answer.text
        return {**samples_of(answer.text), _UP: 1.0}


def told_by_two(scrapes: Sequence[Scrape]) -> list[Scrape]:
    """What Prometheus would keep if two intakes of this installation had been asked each time."""
    return [
        Scrape(
            it.at,
            {
                (name, (*labels, ("instance", instance))): value
                for (name, labels), value in it.samples.items()
                for instance in _BOTH
            },
        )
        for it in scrapes
    ]


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


class Refusing:
    """A receiver of events that refuses each of them for good."""

    name = "webhook"
    batch_size = 10

    def deliver(self, _envelopes: Sequence[Envelope]) -> None:
        """See `Relay.deliver`."""
        raise DeliveryError("status 400", retryable=False)


def undelivered(site: Site) -> None:
    """Events that a relay could not deliver and went past."""
    carried = Relaying(site.shop.ledger, Refusing(), stop=threading.Event()).run(once=True)
    assert carried.dead


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
    site.beats = dict.fromkeys(WATCHED_DAEMONS, 300.0)


def daemon_never_there(site: Site) -> None:
    """The daemon was never started."""
    site.beats = {}


def one_daemon_stuck(site: Site) -> None:
    """The sensors do not tick any more; all else does."""
    site.beats = {**dict.fromkeys(WATCHED_DAEMONS, 20.0), "SENSOR": 300.0}


def dagster_database_gone(site: Site) -> None:
    """Dagster's database is not there."""
    site.beats = None
    shutil.rmtree(site.home / "dagster")


def disk_nearly_full(site: Site) -> None:
    """A disk of 100 GB with 9 GB free."""
    usage = SimpleNamespace(total=100 * 10**9, used=91 * 10**9, free=9 * 10**9)
    site.monkeypatch.setattr(shutil, "disk_usage", lambda _home: usage)


def intake_gone(site: Site) -> None:
    """Nobody answers any more."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        site.url = f"http://127.0.0.1:{taken.getsockname()[1]}"


def nobody_asks(site: Site) -> None:
    """Prometheus has no intake to ask."""
    site.url = None


def token_revoked(site: Site) -> None:
    """Prometheus is not let in any more."""
    with site.shop.ledger.write() as tx:
        (token,) = [it for it in tx.tokens.all() if it.name == "prometheus"]
        assert tx.tokens.revoke(token.token_id)


def ledger_gone(site: Site) -> None:
    """The ledger is no database any more."""
    site.shop.ledger.close()
    (site.home / "ledger.db").write_bytes(b"x" * 4_096)
    for ending in ("-wal", "-shm"):
        (site.home / f"ledger.db{ending}").unlink(missing_ok=True)


FAULTS: list[tuple[Callable[[Site], None], str]] = [
    (dead_letter, "HuleEduDeadLetters"),
    (undelivered, "HuleEduDeadLetters"),
    (timed_out, "HuleEduBatchTimeouts"),
    (stuck, "HuleEduStuckEssays"),
    (not_closed, "HuleEduBatchesNotClosed"),
    (daemon_gone, "HuleEduDaemonGone"),
    (daemon_never_there, "HuleEduDaemonGone"),
    (one_daemon_stuck, "HuleEduDaemonGone"),
    (dagster_database_gone, "HuleEduDagsterDatabaseGone"),
    (disk_nearly_full, "HuleEduDiskNearlyFull"),
    (intake_gone, "HuleEduIntakeGone"),
    (nobody_asks, "HuleEduIntakeGone"),
    (token_revoked, "HuleEduIntakeGone"),
    (ledger_gone, "HuleEduIntakeGone"),
]


@pytest.mark.parametrize(("fault", "alert"), FAULTS, ids=[it.__name__ for it, _ in FAULTS])
def test_a_fault_makes_its_alert_fire_and_no_other(
    site: Site, fault: Callable[[Site], None], alert: str
) -> None:
    site.scrape(_HEALTHY_STEPS)
    assert ever_firing(site.scrapes) == set()
    fault(site)
    site.scrape(_FAULTY_STEPS)
    assert firing(site.scrapes) == ever_firing(site.scrapes) == {alert}


@pytest.mark.parametrize(
    "fault", [dead_letter, timed_out, stuck, not_closed, daemon_gone, dagster_database_gone]
)
def test_an_installation_with_two_intakes_is_told_of_once(
    site: Site, fault: Callable[[Site], None]
) -> None:
    site.scrape(_HEALTHY_STEPS)
    fault(site)
    site.scrape(_FAULTY_STEPS)
    both = told_by_two(site.scrapes)
    assert firing(both) == firing(site.scrapes)
    (rule,) = [it for it in rules() if it.name in firing(both)]
    assert len(evaluate(rule.expression, both)) == 1


def test_when_the_intake_is_gone_nothing_else_is_known(site: Site) -> None:
    dead_letter(site)
    site.scrape(_HEALTHY_STEPS)
    assert firing(site.scrapes) == {"HuleEduDeadLetters"}
    intake_gone(site)
    site.scrape(_FAULTY_STEPS)
    assert firing(site.scrapes) == {"HuleEduIntakeGone"}


def test_without_a_fault_nothing_fires(site: Site) -> None:
    nothing(site)
    site.scrape(_HEALTHY_STEPS + _FAULTY_STEPS)
    assert ever_firing(site.scrapes) == set()


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
    expected = {alert, *rule.consequences}
    assert firing(site.scrapes) == ever_firing(site.scrapes) == expected


def test_every_alert_has_a_fault_that_it_was_seen_to_fire_for() -> None:
    assert {alert for _, alert in FAULTS} == {it.name for it in rules()}
    assert RULES.is_file()
