"""Is the daemon well, as its heartbeats in Dagster's database tell, on a real server too."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster._daemon.types import DaemonHeartbeat

from huleedu_dagster.orchestration import probes
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterHome]:
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        yield DagsterHome(Settings(home=tmp_path))


def beat(home: DagsterHome, age: float, *kinds: str) -> None:
    """Heartbeats so many seconds old."""
    with home.instance() as instance:
        for kind in kinds or probes.WATCHED_DAEMONS:
            heartbeat = DaemonHeartbeat(time.time() - age, kind, "some-id", errors=[])
            instance.add_daemon_heartbeat(heartbeat)


def test_young_heartbeats_are_well_and_old_or_missing_ones_are_not(home: DagsterHome) -> None:
    beat(home, 100)
    with pytest.raises(probes.UnhealthyError, match=r"last heartbeat was 1\d\d s"):
        probes.daemon(home.settings)
    beat(home, 1)
    assert "last heartbeat was" in probes.daemon(home.settings)
    assert probes.heartbeat_age(home.settings) < probes.HEARTBEAT_SECONDS


def test_heartbeats_of_the_daemon_before_this_one_do_not_count(home: DagsterHome) -> None:
    beat(home, 1)
    with home.exclusive("serve daemon"):
        with pytest.raises(probes.UnhealthyError, match="no heartbeat yet"):
            probes.daemon(home.settings)
        beat(home, 0, *probes.WATCHED_DAEMONS[1:])
        with pytest.raises(probes.UnhealthyError, match=rf"\({probes.WATCHED_DAEMONS[0]}\)"):
            probes.daemon(home.settings)
        beat(home, 0)
        assert "last heartbeat was" in probes.daemon(home.settings)


@pytest.mark.parametrize("kinds", [(), probes.WATCHED_DAEMONS[:1]])
def test_heartbeats_far_in_the_future_tell_nothing(
    home: DagsterHome, kinds: tuple[str, ...]
) -> None:
    beat(home, 1)
    beat(home, -probes.HEARTBEAT_SECONDS - 30, *kinds)
    with pytest.raises(probes.UnhealthyError, match="ahead of this clock; set the clocks"):
        probes.daemon(home.settings)
    assert probes.heartbeat_age(home.settings) == math.inf
    # Clocks differ a little.
    beat(home, -60)
    assert "last heartbeat was 0 s ago" in probes.daemon(home.settings)
    assert probes.heartbeat_age(home.settings) == 0


def test_a_home_may_have_any_name(tmp_path: Path) -> None:
    home = DagsterHome(Settings(home=tmp_path / "class #7, 100%25 å"))
    with pytest.raises(probes.UnhealthyError, match="cannot be asked"):
        probes.daemon(home.settings)
    home.prepare()
    beat(home, 1)
    assert "last heartbeat was" in probes.daemon(home.settings)
