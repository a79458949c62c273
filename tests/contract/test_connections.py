"""How many connections a process holds to a real Postgres server, and what the server is told."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

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

THREADS = 30
_ASKED = 2
_SECONDS = 25
"""Less than a thread waits for a connection before it gives up."""


@contextmanager
def most_seen(url: str) -> Iterator[list[int]]:
    """The largest number of connections to a database while the block runs, but for this one."""
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    query = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    ended, found = threading.Event(), [0]

    def look() -> None:
        with engine.connect() as connection:
            while not ended.is_set():
                found[0] = max(found[0], connection.exec_driver_sql(query).scalar_one())

    with ThreadPoolExecutor(1) as threads:
        looking = threads.submit(look)
        try:
            yield found
        finally:
            ended.set()
            looking.result(60)


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
def test_thirty_threads_share_the_connections_to_the_ledger(bound: int, tmp_path: Path) -> None:
    with postgres_database() as url:
        settings = Settings(home=tmp_path, ledger_url=url, ledger_connections=bound)
        ledger = Ledger.of(settings)

        def work(number: int) -> None:
            with ledger.write() as tx:
                tx.batches.find(f"batch-{number}")
            with ledger.read() as tx:
                tx.batches.open()

        with most_seen(url) as found:
            all_at_once(work)
        ledger.close()
    assert found == [bound]


@pytest.mark.parametrize(("bound", "for_pages"), [(2, False), (5, True)])
def test_thirty_threads_share_the_connections_to_dagster(
    bound: int, for_pages: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_database(migrated=False) as url:
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        settings = Settings(home=tmp_path, dagster_connections=bound)
        with DagsterHome(settings).instance() as instance:
            if for_pages:
                # As the web server does it, which would have 21 for each of the three storages.
                instance.optimize_for_webserver(5_000, 3_600, 20)
            with most_seen(url) as found:
                all_at_once(lambda _: ask(instance))
            # One is kept for a second connection inside a first.
            assert found[0] in (bound - 1, bound)
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
            here = connections(ledger_url)
            assert here.here == {"huleedu ledger class-server": 1}
            assert connections(url).here == {"huleedu dagster class-server": 1}
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
