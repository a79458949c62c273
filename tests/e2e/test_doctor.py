"""`huleedu doctor`: what is not well is found, named, and told by the exit code."""

import json
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from huleedu_dagster.cli.doctor import doctor
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.record import ServerRecord
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that does not exist yet."""
    home = tmp_path / "home"
    monkeypatch.setenv("HULEEDU_HOME", str(home))
    return home


def call(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard output of the command."""
    app = typer.Typer()
    app.command()(doctor)
    result = CliRunner().invoke(app, ["--home", str(home), *arguments])
    return result.exit_code, result.stdout


def findings(home: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and the checks by name."""
    code, output = call(home, "--json")
    report = json.loads(output)
    assert report["ok"] == (code == 0) == all(it["ok"] for it in report["checks"])
    return code, {it["name"]: it for it in report["checks"]}


@contextmanager
def open_ledger(home: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    ledger.migrate()
    yield ledger
    ledger.close()


@contextmanager
def web_server(heartbeat: float, *, ready: int = 200) -> Iterator[int]:
    """Pages that tell of daemons with this heartbeat, and an intake that is so ready; the port."""
    names = ("SENSOR", "SCHEDULER", "BACKFILL")
    statuses = [{"daemonType": name, "lastHeartbeatTime": heartbeat} for name in names]
    location = {"name": "huleedu", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    data = {
        "workspaceOrError": {"locationEntries": [location]},
        "instance": {"daemonHealth": {"allDaemonStatuses": statuses}},
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": data}).encode())

        def do_GET(self) -> None:
            self.send_response(ready if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_home_that_does_not_exist_is_well_and_stays_unmade(home: Path) -> None:
    code, checks = findings(home)
    assert code == 0
    assert checks["in use by"]["found"].startswith("nobody")
    assert checks["dagster"]["found"].startswith("1.13.")
    assert not home.exists()


@pytest.mark.parametrize(("mode", "ok"), [(0o700, True), (0o750, True), (0o755, False)])
def test_a_home_that_every_account_may_enter_is_told_and_left_as_it_is(
    home: Path, mode: int, *, ok: bool
) -> None:
    home.mkdir()
    home.chmod(mode)
    code, checks = findings(home)
    assert (code == 0) is ok
    check = checks["who may look into it"]
    assert check["ok"] is ok
    assert (f"`chmod o-rwx {home}`" in check["found"]) is not ok
    assert stat.S_IMODE(home.stat().st_mode) == mode


def test_what_the_inbox_cannot_take_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HULEEDU_MAX_UPLOAD_BYTES", "10")
    batch = home / "inbox" / "class-7b"
    batch.mkdir(parents=True)
    (home / "inbox" / "Class [red]7B").mkdir()
    (batch / "short.txt").write_text("short")
    (batch / "much too long.txt").write_text("more than ten bytes")
    (batch / "red\x1b[31m.txt").write_text("x")
    code, output = call(home)
    assert code == 1
    assert "Class [red]7B" in output
    assert "class-7b/much too long.txt (larger than 10 bytes)" in output
    assert "red\ufffd[31m.txt (its name cannot be an essay's)" in output
    assert "\x1b" not in output
    assert "short.txt" not in output


def test_a_batch_past_its_closing_moment_is_named(home: Path) -> None:
    now = datetime.now(UTC)
    with open_ledger(home) as ledger:
        for name, deadline in (("late", now - timedelta(hours=1)), ("open", now + timedelta(1))):
            register(ledger, name, settings=BatchSettings(), deadline=deadline)
    code, checks = findings(home)
    assert code == 1
    assert not checks["batches to close"]["ok"]
    assert "moment: late;" in checks["batches to close"]["found"]
    assert checks["ledger"]["ok"]


def test_open_dead_letters_are_counted(home: Path) -> None:
    with open_ledger(home) as ledger:
        register(ledger, "b1", settings=BatchSettings())
        with ledger.write() as tx:
            tx.failures.add_dead_letter(
                "b1", "e001", generation=0, reason="OSError", attempts=3, correlation_id="c"
            )
    code, checks = findings(home)
    assert code == 1
    assert checks["dead letters"] == {
        "name": "dead letters",
        "ok": False,
        "found": "1 open; `huleedu dlq list` shows them",
    }


def test_a_ledger_of_another_schema_is_found(home: Path) -> None:
    home.mkdir()
    with closing(sqlite3.connect(home / "ledger.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    code, checks = findings(home)
    assert code == 1
    assert "schema revision 9999" in checks["ledger"]["found"]


def test_a_damaged_ledger_is_found(home: Path) -> None:
    home.mkdir()
    (home / "ledger.db").write_bytes(b"this is no database" * 100)
    code, checks = findings(home)
    assert code == 1
    assert checks["ledger"]["found"] == "cannot be reached (DatabaseError)"


@pytest.mark.parametrize(("age", "ok"), [(5, True), (600, False)])
def test_the_heartbeat_of_a_running_up_is_judged_by_its_age(
    home: Path, age: float, *, ok: bool
) -> None:
    settings = Settings(home=home)
    with web_server(time.time() - age) as port, DagsterHome(settings).exclusive("up"):
        ServerRecord(pid=1, port=port, intake_port=port, groups=()).write(settings)
        code, checks = findings(home)
    assert code == (0 if ok else 1)
    assert checks["daemon heartbeat"]["ok"] is ok
    assert "`huleedu up`" in checks["in use by"]["found"]


def test_an_up_whose_pages_do_not_answer_is_found(home: Path) -> None:
    settings = Settings(home=home)
    with web_server(0) as port:
        pass
    with DagsterHome(settings).exclusive("up"):
        ServerRecord(pid=1, port=port, intake_port=port, groups=()).write(settings)
        code, checks = findings(home)
    assert code == 1
    assert f"does not answer on port {port}" in checks["daemon heartbeat"]["found"]


def test_looking_who_uses_a_home_changes_nothing(home: Path) -> None:
    dagster_home = DagsterHome(Settings(home=home))
    assert dagster_home.user() is None
    with dagster_home.exclusive("run"):
        user = dagster_home.user()
        assert user is not None
        assert user.role == "run"
    assert dagster_home.user() is None
    with dagster_home.exclusive("up"):
        pass
