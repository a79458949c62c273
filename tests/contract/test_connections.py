"""How many connections a process holds to a real Postgres server, and what the server is told."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dagster import (
    AssetKey,
    AssetMaterialization,
    DagsterInstance,
    DagsterRunStatus,
    RunsFilter,
)

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.databases import connections
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database
from tests.support.waiting import wait_for

THREADS = 30
_ASKED = 2
_SECONDS = 25
"""Less than a thread waits for a connection before it gives up."""


@pytest.fixture(autouse=True)
def closed() -> Iterator[set[int]]:
    """Processes of the server whose connections this one closed; they may still be on their way."""
    found: set[int] = set()

    def opens(connection: Any, _record: object) -> None:
        found.discard(connection.info.backend_pid)

    def closes(connection: Any, _record: object) -> None:
        found.add(connection.info.backend_pid)

    listeners = (("connect", opens), ("close", closes))
    for name, listener in listeners:
        sa.event.listen(sa.pool.Pool, name, listener)
    yield found
    for name, listener in listeners:
        sa.event.remove(sa.pool.Pool, name, listener)


class Seen:
    """The connections to a database, as its server tells, but for the one that asks.

    Attributes:
        most: How many were open at the same time.
    """

    def __init__(self, wanted: int, closed: set[int]) -> None:
        self.most = 0
        self._wanted = wanted
        self._closed = closed
        self._holding = threading.Semaphore(wanted)

    def look(self, connection: sa.Connection) -> None:
        """Look once."""
        query = (
            "SELECT pid FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        pids = set(connection.exec_driver_sql(query).scalars())
        self.most = max(self.most, len(pids - self._closed))

    def hold(self) -> None:
        """Called with a connection in hand: the first keep theirs until all of them are seen."""
        if self._holding.acquire(blocking=False):
            wait_for(lambda: self.most >= self._wanted, _SECONDS - 5)


@contextmanager
def looking(url: str, wanted: int, closed: set[int]) -> Iterator[Seen]:
    """Look at the connections to a database until the block ends.

    Args:
        url: Where it is.
        wanted: How many threads `hold` theirs.
        closed: Those that do not count.
    """
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    ended, seen = threading.Event(), Seen(wanted, closed)

    def look() -> None:
        with engine.connect() as connection:
            while not ended.is_set():
                seen.look(connection)

    with ThreadPoolExecutor(1) as threads:
        looks = threads.submit(look)
        try:
            yield seen
        finally:
            ended.set()
            looks.result(60)


def all_at_once(call: Callable[[int], object], times: int = _ASKED) -> None:
    """Make so many threads call at the same moment, each several times."""
    begin = threading.Barrier(THREADS)

    def go(number: int) -> None:
        begin.wait(60)
        for _ in range(times):
            call(number)

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(go, number) for number in range(THREADS)]:
            done.result(_SECONDS)


@pytest.mark.parametrize("bound", [1, 4])
def test_thirty_threads_share_the_connections_to_the_ledger(
    bound: int, tmp_path: Path, closed: set[int]
) -> None:
    with postgres_database() as url:
        settings = Settings(home=tmp_path, ledger_url=url, ledger_connections=bound)
        ledger = Ledger.of(settings)

        def work(number: int) -> None:
            with ledger.write() as tx:
                tx.batches.find(f"batch-{number}")
            with ledger.read() as tx:
                tx.batches.open()
                seen.hold()

        with looking(url, bound, closed) as seen:
            all_at_once(work)
        ledger.close()
    assert seen.most == bound


@pytest.mark.parametrize(("bound", "for_pages"), [(2, False), (5, True)])
def test_thirty_threads_share_the_connections_to_dagster(
    bound: int,
    for_pages: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    closed: set[int],
) -> None:
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        settings = Settings(home=tmp_path, dagster_connections=bound)
        with DagsterHome(settings).instance() as instance:
            if for_pages:
                # As the web server does it, which would have 21 for each of the three storages.
                instance.optimize_for_webserver(5_000, 3_600, 20)

            def work(_: int) -> None:
                ask(instance)
                with instance.run_storage.connect():  # type: ignore[attr-defined]
                    seen.hold()

            # One is kept for a second connection inside a first.
            with looking(url, bound - 1, closed) as seen:
                all_at_once(work)
            assert seen.most in (bound - 1, bound)
            assert timeout(instance) == ("5s" if for_pages else "0")


def test_threads_that_need_a_second_connection_do_not_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        home = DagsterHome(Settings(home=tmp_path, dagster_connections=2))
        home.make_tables()
        # New, so that it asks inside the first connection what tables and indexes there are.
        with home.instance() as instance:
            all_at_once(
                lambda number: instance.report_runless_asset_event(
                    AssetMaterialization("raw_upload", tags={"thread": str(number)})
                ),
                times=1,
            )
            found = instance.fetch_materializations(AssetKey("raw_upload"), limit=THREADS + 1)
            assert len(found.records) == THREADS


def test_the_server_is_told_what_a_connection_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGAPPNAME", "class-server")
    with postgres_database() as ledger_url, postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        settings = Settings(home=tmp_path, ledger_url=ledger_url)
        ledger = Ledger.of(settings)
        with DagsterHome(settings).instance() as instance, ledger.read() as tx:
            tx.batches.open()
            ask(instance)
            # The server hears of those that made the tables and were closed a moment later.
            one, other = {"huleedu ledger class-server": 1}, {"huleedu dagster class-server": 1}
            wait_for(lambda: connections(ledger_url).here == one, 60)
            wait_for(lambda: connections(url).here == other, 60)
            here = connections(ledger_url)
            assert here.most == 200
            assert here.total >= 2
        ledger.close()


def ask(instance: DagsterInstance) -> None:
    """Some of what Dagster's pages and its daemon ask for, of all three storages."""
    instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
    instance.get_dynamic_partitions("batch")
    instance.event_log_storage.get_asset_records([AssetKey("raw_upload")])
    instance.all_instigator_state()
    instance.event_log_storage.get_event_tags_for_asset(AssetKey("raw_upload"))


def timeout(instance: DagsterInstance) -> str:
    """After how long a statement of this process is cut off."""
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        return str(connection.exec_driver_sql("SHOW statement_timeout").scalar_one())
