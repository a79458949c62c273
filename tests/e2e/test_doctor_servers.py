"""`huleedu doctor` where there are servers: Dagster's database, broker, inbox bucket."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from huleedu_dagster.cli.doctor import doctor
from huleedu_dagster.orchestration.databases import connections
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.set_up import SetUp
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database
from tests.support.seaweed import new_bucket
from tests.support.valkey import broker_url
from tests.support.waiting import wait_for

DATABASE = "Dagster's database"
LEDGER = "connections to the ledger"
SECRET = "geheim"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """An installation on two databases, empty but for the ledger's tables."""
    home = tmp_path / "home"
    with postgres_database() as ledger, postgres_database(migrated=False) as dagster:
        monkeypatch.setenv("HULEEDU_HOME", str(home))
        monkeypatch.setenv("HULEEDU_LEDGER_URL", ledger)
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", dagster)
        yield Settings()


def examine(home: Path) -> dict[str, Any]:
    """What is found, by name; a password would be seen here too."""
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, ["--home", str(home), "--json"])
    assert SECRET not in result.output
    return {it["name"]: it for it in json.loads(result.stdout)["checks"]}


def test_tables_that_are_missing_are_found_and_then_the_daemon(settings: Settings) -> None:
    found = examine(settings.home)[DATABASE]
    assert (found["ok"], found["found"]) == (False, "has no tables; `huleedu set-up` makes them")
    SetUp(settings, print, 0).run()
    checks = examine(settings.home)
    assert checks[DATABASE]["ok"]
    assert checks["daemon heartbeat"]["ok"] is False
    assert "the daemon has no heartbeat yet" in checks["daemon heartbeat"]["found"]


def test_one_database_for_two_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", settings.ledger_url)
    found = examine(settings.home)[DATABASE]
    assert found["ok"] is False
    assert found["found"].startswith("the ledger and Dagster are given the same database; give")


def test_a_database_that_does_not_answer_is_found_and_its_password_not_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HULEEDU_LEDGER_URL", "HULEEDU_DAGSTER_DATABASE_URL"):
        away = f"postgresql://huleedu:{SECRET}@127.0.0.1:1/{name.lower()}"
        monkeypatch.setenv(name, away)
    checks = examine(settings.home)
    for name in ("ledger", DATABASE, LEDGER):
        assert checks[name]["ok"] is False
    assert "Connection refused" in checks[DATABASE]["found"]


def test_connections_are_counted_and_too_many_are_found(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGAPPNAME", "class-server")
    DagsterHome(settings).make_tables()
    engine = sa.create_engine(settings.ledger_url, pool_size=200)
    with ExitStack() as stack, DagsterHome(settings).instance() as instance:
        stack.callback(engine.dispose)
        instance.get_runs_count()
        # The server hears of those that made the tables and were closed a moment later.
        only = {"huleedu dagster class-server": 1}
        wait_for(lambda: connections(settings.dagster_database_url).here == only, 60)
        checks = examine(settings.home)
        assert checks[LEDGER]["ok"]
        found = checks["connections to Dagster's database"]["found"]
        # Beside it maybe one that examined it, which was closed.
        assert re.match(r"huleedu dagster class-server 1[;,] ", found)
        for _ in range(160):
            stack.enter_context(engine.connect())
        found = examine(settings.home)[LEDGER]
    assert found["ok"] is False
    assert "class-server 160" in found["found"]
    assert "of 200 on the server: raise its max_connections, or lower" in found["found"]


def test_the_broker_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HULEEDU_BROKER_URL", broker_url())
    assert examine(settings.home)["broker"]["found"] == "answers"
    monkeypatch.setenv("HULEEDU_BROKER_URL", f"redis://:{SECRET}@127.0.0.1:1/0")
    found = examine(settings.home)["broker"]
    assert found["found"] == "does not answer (ConnectionError); see HULEEDU_BROKER_URL"


def test_the_inbox_bucket_is_asked_for_its_content(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, inbox = new_bucket(tmp_path), new_bucket(tmp_path)
    for name, value in {
        "S3_ENDPOINT": blobs.endpoint,
        "S3_BUCKET": blobs.bucket,
        "S3_ACCESS_KEY": blobs.access_key,
        "S3_SECRET_KEY": blobs.secret_key,
        "S3_SECURE": "false",
        "INBOX_BUCKET": inbox.bucket,
    }.items():
        monkeypatch.setenv(f"HULEEDU_{name}", value)
    assert examine(settings.home)["inbox bucket"]["ok"]
    missing = replace(inbox, bucket=f"{inbox.bucket}-gone")
    monkeypatch.setenv("HULEEDU_INBOX_BUCKET", missing.bucket)
    found = examine(settings.home)["inbox bucket"]
    assert found["ok"] is False
    assert "HULEEDU_INBOX_BUCKET" in found["found"]
