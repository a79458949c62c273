"""`huleedu set-up` on real servers: what it makes, waits for and refuses."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import run_alembic_downgrade
from dagster_postgres import run_storage
from dagster_postgres.utils import pg_alembic_config

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.ledger.migrations.runner import HEAD, UnknownRevisionError
from huleedu_dagster.orchestration.databases import (
    DAGSTER_TABLES,
    DatabaseError,
    NotSetUpError,
    SharedDatabaseError,
    UnreachableError,
    check_ready,
    has_dagster_tables,
    make_tables,
    making,
)
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.set_up import SetUp
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database
from tests.support.seaweed import client_of, new_bucket
from tests.support.seaweed_server import GUEST_KEY, SECRET_KEY
from tests.support.waiting import wait_for

COMMAND = [sys.executable, "-m", "huleedu_dagster.cli.app", "set-up"]
PASSWORD = "geheim"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An installation on two empty databases."""
    with postgres_database(migrated=False) as ledger, postgres_database(migrated=False) as dagster:
        monkeypatch.setenv("HULEEDU_LEDGER_URL", ledger)
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", dagster)
        yield Settings(home=tmp_path / "home")


def set_up(settings: Settings, wait: float = 0) -> list[str]:
    """What is told."""
    lines: list[str] = []
    SetUp(settings, lines.append, wait).run()
    return lines


def on(url: str, *statements: str) -> list[object]:
    """The only column of what the last statement gives."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            results = [connection.exec_driver_sql(it) for it in statements]
            return list(results[-1].scalars()) if results[-1].returns_rows else []
    finally:
        engine.dispose()


def with_bucket(settings: Settings, bucket: str, endpoint: str, **more: str) -> Settings:
    return Settings.model_validate(
        {
            **settings.model_dump(),
            "s3_endpoint": endpoint,
            "s3_bucket": bucket,
            "s3_secret_key": SECRET_KEY,
            "s3_secure": False,
            **more,
        }
    )


def test_everything_is_made_once_and_told(settings: Settings, tmp_path: Path) -> None:
    options = new_bucket(tmp_path)
    known = {"s3_access_key": options.access_key, "inbox_bucket": f"{options.bucket}-inbox"}
    chosen = with_bucket(settings, f"{options.bucket}-new", options.endpoint, **known)
    with pytest.raises(NotSetUpError, match="run `huleedu set-up` first"):
        check_ready(chosen)
    assert set_up(chosen) == [
        f"bucket {options.bucket}-new: made",
        f"bucket {options.bucket}-inbox: made",
        f"ledger: revision {HEAD}, brought there from nothing",
        "Dagster's tables: made",
    ]
    check_ready(chosen)
    assert set_up(chosen) == [
        f"bucket {options.bucket}-new: there already",
        f"bucket {options.bucket}-inbox: there already",
        f"ledger: revision {HEAD}, there already",
        "Dagster's tables: there already",
    ]
    assert client_of(options).bucket_exists(f"{options.bucket}-inbox")


def test_a_key_that_may_make_no_bucket_is_enough_where_there_is_one(
    settings: Settings, tmp_path: Path
) -> None:
    options = new_bucket(tmp_path)
    guest = {"s3_access_key": GUEST_KEY}
    missing = with_bucket(settings, f"{options.bucket}-none", options.endpoint, **guest)
    with pytest.raises(PermissionError, match="HULEEDU_S3_ACCESS_KEY"):
        set_up(missing)
    allowed = {
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": f"arn:aws:s3:::{options.bucket}",
        "Principal": {"AWS": "*"},
    }
    client_of(options).set_bucket_policy(
        options.bucket, json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    )
    there = with_bucket(settings, options.bucket, options.endpoint, **guest)
    assert set_up(there)[0] == f"bucket {options.bucket}: there already"


def test_it_waits_for_a_server_that_is_starting(settings: Settings, tmp_path: Path) -> None:
    url = sa.make_url(settings.ledger_url)
    socket = tmp_path / "socket"
    later = url.update_query_dict({"host": str(socket)})
    waiting = threading.Event()
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        waiting.set()

    chosen = Settings(home=settings.home, ledger_url=later.render_as_string(hide_password=False))
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(SetUp(chosen, tell, 60).run)
        assert waiting.wait(60)
        socket.symlink_to(str(url.query["host"]))
        done.result(60)
    assert lines[0].startswith("waiting: the ledger's database cannot be used: connection to")
    assert lines[-1] == "Dagster's tables: made"


def test_a_server_that_does_not_come_is_one_sentence_without_the_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://huleedu:{PASSWORD}@127.0.0.1:1/dagster"
    monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
    done = subprocess.run(
        [*COMMAND, "--home", str(tmp_path / "home"), "--wait", "0.1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("huleedu: Dagster's database cannot be used: connection to")
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_password_in_a_file_of_settings_gets_into_no_other(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sa.make_url(settings.dagster_database_url).set(password=PASSWORD)
    (tmp_path / ".env").write_text(
        f"HULEEDU_DAGSTER_DATABASE_URL={url.render_as_string(hide_password=False)}\n"
    )
    monkeypatch.delenv("HULEEDU_DAGSTER_DATABASE_URL")
    done = subprocess.run(
        [*COMMAND, "--home", str(settings.home)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = [it for it in settings.home.rglob("*") if it.is_file()]
    assert settings.dagster_folder / "dagster.yaml" in files
    assert [it for it in files if PASSWORD in it.read_text(errors="replace")] == []


def the_same_url(settings: Settings) -> str:
    return settings.ledger_url


def the_same_server_by_another_name(settings: Settings) -> str:
    url = sa.make_url(settings.ledger_url)
    link = settings.home.with_name("link")
    link.symlink_to(str(url.query["host"]))
    return url.update_query_dict({"host": str(link)}).render_as_string(hide_password=False)


def one_with_the_ledger_of_somebody_else(settings: Settings) -> str:
    url = settings.dagster_database_url
    on(url, "CREATE TABLE batches (batch_id text)", "CREATE TABLE alembic_version (v text)")
    return url


def one_with_tables_of_another_program(settings: Settings) -> str:
    on(settings.dagster_database_url, "CREATE TABLE alembic_version (version_num text)")
    return settings.dagster_database_url


@pytest.mark.parametrize(
    "named",
    [
        the_same_url,
        the_same_server_by_another_name,
        one_with_the_ledger_of_somebody_else,
        one_with_tables_of_another_program,
    ],
)
def test_dagster_gets_no_database_with_other_tables(
    settings: Settings, named: Callable[[Settings], str]
) -> None:
    chosen = Settings(home=settings.home, dagster_database_url=named(settings))
    with pytest.raises(SharedDatabaseError, match="give Dagster a database of its own"):
        set_up(chosen)
    with pytest.raises(DatabaseError):
        check_ready(chosen)
    with pytest.raises(DatabaseError):
        DagsterHome(chosen).instance()
    assert "event_logs" not in tables(chosen.dagster_database_url)


def test_a_ledger_gets_no_database_of_dagster(settings: Settings) -> None:
    set_up(settings)
    swapped = Settings(
        home=settings.home,
        ledger_url=settings.dagster_database_url,
        dagster_database_url=settings.ledger_url,
    )
    with pytest.raises(SharedDatabaseError):
        set_up(swapped)
    with pytest.raises(UnknownRevisionError, match="it is Dagster's, or that of a newer"):
        Ledger.of(swapped).migrate()
    assert "batches" not in tables(settings.dagster_database_url)


def test_two_at_once_make_the_tables_once(settings: Settings) -> None:
    begin = threading.Barrier(3)

    def start(number: int) -> None:
        chosen = Settings(home=settings.home.with_name(f"home-{number}"))
        begin.wait(60)
        set_up(chosen)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(start, number) for number in range(3)]:
            done.result(60)
    revisions = on(settings.dagster_database_url, "SELECT version_num FROM alembic_version")
    assert len(revisions) == 1
    assert on(settings.ledger_url, "SELECT version_num FROM alembic_version") == [HEAD]


def test_tables_of_an_older_dagster_are_migrated(settings: Settings) -> None:
    set_up(settings)
    newest = on(settings.dagster_database_url, "SELECT version_num FROM alembic_version")
    downgrade(settings.dagster_database_url)
    assert on(settings.dagster_database_url, "SELECT version_num FROM alembic_version") != newest
    assert set_up(settings)[-1] == "Dagster's tables: migrated"
    assert on(settings.dagster_database_url, "SELECT version_num FROM alembic_version") == newest


@pytest.mark.parametrize(
    "lost",
    [
        "DROP TABLE alembic_version",
        "DELETE FROM alembic_version",
        "DROP TABLE daemon_heartbeats, secondary_indexes",
        "DROP TABLE asset_check_executions, job_ticks",
    ],
)
def test_half_made_tables_are_not_ready_and_are_completed(settings: Settings, lost: str) -> None:
    set_up(settings)
    whole = sorted(map(str, tables(settings.dagster_database_url)))
    on(settings.dagster_database_url, lost)
    with pytest.raises(NotSetUpError, match="Dagster's tables are not there"):
        check_ready(settings)
    assert set_up(settings)[-1] == "Dagster's tables: made"
    check_ready(settings)
    assert sorted(map(str, tables(settings.dagster_database_url))) == whole
    versions = on(settings.dagster_database_url, "SELECT version_num FROM alembic_version")
    assert len(versions) == 1


def test_tables_are_not_ready_before_dagster_has_seen_them(settings: Settings) -> None:
    def fail() -> NoReturn:
        raise RuntimeError

    # As somebody that is killed after the tables and before what Dagster notes about them.
    with pytest.raises(RuntimeError):
        make_tables(settings, fail)
    assert not has_dagster_tables(settings)
    assert set_up(settings)[-1] == "Dagster's tables: made"
    check_ready(settings)


def test_the_tables_that_are_looked_for_are_those_of_the_installed_dagster() -> None:
    storages = (RunStorageSqlMetadata, SqlEventLogStorageMetadata, ScheduleStorageSqlMetadata)
    assert {name for it in storages for name in it.tables} == DAGSTER_TABLES


def test_no_table_of_the_ledger_is_taken_for_one_of_dagster(settings: Settings) -> None:
    set_up(settings)
    assert not DAGSTER_TABLES.intersection(map(str, tables(settings.ledger_url)))


def test_two_do_not_migrate_dagsters_tables_at_once(settings: Settings) -> None:
    set_up(settings)
    url = settings.dagster_database_url
    version = "SELECT version_num FROM alembic_version"
    newest = on(url, version)
    downgrade(url)
    older = on(url, version)
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with ThreadPoolExecutor(1) as threads:
        with making(settings):
            done = threads.submit(set_up, settings)
            wait_for(lambda: on(url, waiting) == [1], seconds=30)
            assert on(url, version) == older
        assert done.result(60)[-1] == "Dagster's tables: migrated"
    assert on(url, version) == newest


def test_an_unreachable_database_is_told_from_one_that_is_not_set_up(settings: Settings) -> None:
    set_up(settings)
    away = sa.make_url(settings.dagster_database_url).set(database="nowhere")
    chosen = Settings(
        home=settings.home, dagster_database_url=away.render_as_string(hide_password=False)
    )
    with pytest.raises(UnreachableError, match='"nowhere" does not exist'):
        check_ready(chosen)


def tables(url: str) -> list[object]:
    return on(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def downgrade(url: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        config = pg_alembic_config(str(run_storage.__file__))
        run_alembic_downgrade(config, connection, "-1")
    engine.dispose()


@pytest.mark.parametrize("setting", ["ledger_url", "dagster_database_url"])
@pytest.mark.parametrize("password", [f"a@b:{PASSWORD}", f"{PASSWORD}@b:c"])
def test_of_a_password_that_breaks_its_url_nothing_is_shown(
    setting: str, password: str, tmp_path: Path
) -> None:
    # Behind the first @ and : is what is taken for the port.
    url = f"postgresql://huleedu:{password}@127.0.0.1:1/huleedu"
    broken = Settings(home=tmp_path).model_copy(update={setting: url})
    for use in (set_up, check_ready):
        with pytest.raises(DatabaseError, match="is not a URL of a database") as refused:
            use(broken)
        assert PASSWORD not in str(refused.value)
