"""Whoever runs sensors on a Dagster database of a real Postgres server is alone, on any machine."""

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from dagster._daemon.types import DaemonHeartbeat

from huleedu_dagster.orchestration.databases import making
from huleedu_dagster.orchestration.home import DagsterHome, HomeInUseError
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database
from tests.support.waiting import wait_for

_BECOMES_A_DAEMON = """
import os, sys
from pathlib import Path
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings

with DagsterHome(Settings(home=Path(sys.argv[1]))).exclusive("serve daemon", kept=True):
    os.execv("/bin/sh", ["sh", "-c", "echo started; read line"])
"""


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[DagsterHome]]:
    """Homes of two machines with one Dagster database."""
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        found = [DagsterHome(Settings(home=tmp_path / name)) for name in ("one", "two")]
        found[0].make_tables()
        yield found


def alter(url: str, text: str) -> None:
    """Change what holds for new sessions to a database, in one that may be idle."""
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        poolclass=sa.pool.NullPool,
        connect_args={"options": "-c idle_session_timeout=0"},
    )
    name = sa.make_url(url).database
    with engine.connect() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" {text}')


def end_idle_sessions(url: str) -> None:
    """Have the server end sessions to a database that ask nothing."""
    alter(url, "SET idle_session_timeout = '2s'")


def wait_until_one_is_ended(url: str) -> None:
    """Wait as long as a session may ask nothing; those before it have been idle for longer.

    Sessions that begin afterwards may be idle.
    """
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as idle:
        driver = idle.connection.driver_connection
        assert driver is not None
        assert select.select([driver.fileno()], [], [], 60)[0]
        idle.invalidate()
    alter(url, "RESET idle_session_timeout")


def wait_until_free(home: DagsterHome, role: str) -> None:
    """Wait until a home can be worked on; a server hears of the end of others a moment later."""

    def is_free() -> bool:
        with suppress(HomeInUseError), home.exclusive(role):
            return True
        return False

    wait_for(is_free, seconds=60)


@contextmanager
def daemon(home: DagsterHome, age: float) -> Iterator[None]:
    """A daemon's connection, with heartbeats so many seconds old."""
    with home.instance() as instance:
        beat = DaemonHeartbeat(time.time() - age, "SENSOR", "some-id", errors=[])
        instance.add_daemon_heartbeat(beat)
    engine = sa.create_engine(
        home.settings.dagster_database_url,
        connect_args={"application_name": "huleedu dagster daemon"},
    )
    with engine.connect():
        yield
    engine.dispose()


def test_a_run_on_another_machine_is_in_the_way_until_it_ends(homes: list[DagsterHome]) -> None:
    with (
        homes[0].exclusive("run"),
        pytest.raises(HomeInUseError, match="maybe of another machine, works on this installation"),
        homes[1].exclusive("up"),
    ):
        pass
    wait_until_free(homes[1], "up")


def test_a_server_that_ends_idle_sessions_does_not_end_the_lock(homes: list[DagsterHome]) -> None:
    url = homes[0].settings.dagster_database_url
    end_idle_sessions(url)
    with homes[0].exclusive("run"):
        wait_until_one_is_ended(url)
        with (
            pytest.raises(HomeInUseError, match="maybe of another machine"),
            homes[1].exclusive("up"),
        ):
            pass


def test_a_server_that_ends_idle_sessions_does_not_end_the_lock_of_who_makes_tables(
    homes: list[DagsterHome],
) -> None:
    url = homes[0].settings.dagster_database_url
    end_idle_sessions(url)
    with making(homes[0].settings):
        wait_until_one_is_ended(url)
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            locks = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid "
                "WHERE locktype = 'advisory' AND granted AND datname = current_database()"
            )
            assert locks.scalar_one() == 1


def test_a_daemon_on_another_machine_is_in_the_way_until_it_ends(homes: list[DagsterHome]) -> None:
    with daemon(homes[0], age=1):
        for role in ("run", "serve daemon"):
            with (
                pytest.raises(HomeInUseError, match="a daemon, maybe of another machine,"),
                homes[1].exclusive(role),
            ):
                pass
    wait_until_free(homes[1], "run")


def test_a_daemon_whose_machine_is_gone_is_in_nobodys_way(homes: list[DagsterHome]) -> None:
    # The server may believe for hours that the connection is there.
    with daemon(homes[0], age=100), homes[1].exclusive("run"):
        pass


def test_of_two_daemons_that_start_at_once_the_program_of_one_is_alone(
    homes: list[DagsterHome],
) -> None:
    # Neither is connected yet nor has a heartbeat.
    program = [sys.executable, "-c", _BECOMES_A_DAEMON, str(homes[0].settings.home)]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "started\n"
        with (
            pytest.raises(HomeInUseError, match="or a daemon, maybe of another machine,"),
            homes[1].exclusive("serve daemon"),
        ):
            pass
        first.communicate("end\n", timeout=60)
    wait_until_free(homes[1], "serve daemon")
