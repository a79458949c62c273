"""`huleedu serve` and `huleedu health`: every part by itself, on a real Postgres server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from huleedu_dagster.orchestration.child import command
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings
from tests.e2e.graphql import Pages
from tests.e2e.site import free_port, wait_for
from tests.support.postgres import postgres_database
from tests.support.valkey import broker_url

HULEEDU = [sys.executable, "-P", "-m", "huleedu_dagster.cli.app"]
_SECONDS = 180


class Parts:
    """The parts of an installation, each a process as a container would have it."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home = home
        self.ports = {name: free_port() for name in ("code-server", "web-server", "intake")}
        self._environment = {**os.environ, **settings, "HULEEDU_HOME": str(home)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [*HULEEDU, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def serve(self, part: str, *options: str) -> None:
        """Start a part."""
        port = ("--port", str(self.ports[part])) if part in self.ports else ()
        self.home.mkdir(exist_ok=True)
        with (self.home / f"{part}.log").open("wb") as log:
            self._running[part] = subprocess.Popen(
                command([*HULEEDU, "serve", part, *port, *options]),
                env=self._environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def health(self, part: str) -> tuple[int, str]:
        """Exit code and the line of the health check."""
        port = ("--port", str(self.ports[part])) if part in self.ports else ()
        done = self.run("health", part, *port)
        assert (done.stdout + done.stderr).count("\n") == 1, done.stderr
        return done.returncode, (done.stdout + done.stderr).strip()

    def wait(self, part: str) -> str:
        """Wait until a part is well; what its check says."""
        said = ""

        def is_well() -> bool:
            nonlocal said
            assert self._running[part].poll() is None, self.log(part)
            code, said = self.health(part)
            return code == 0

        wait_for(is_well, seconds=_SECONDS, what=f"{part} well")
        return said

    def command_line(self, part: str) -> str:
        """What a part has become."""
        pid = self._running[part].pid
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()

    def log(self, part: str) -> str:
        """What a part wrote."""
        return (self.home / f"{part}.log").read_text()

    def kill(self, part: str) -> None:
        """End a part with all that it started."""
        process = self._running.pop(part)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        """End all parts."""
        for part in list(self._running):
            self.kill(part)


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    """An installation on two empty databases and a broker."""
    with ExitStack() as stack:
        urls = [stack.enter_context(postgres_database(migrated=False)) for _ in range(2)]
        found = Parts(
            tmp_path / "home",
            {
                "HULEEDU_LEDGER_URL": urls[0],
                "HULEEDU_DAGSTER_DATABASE_URL": urls[1],
                "HULEEDU_BROKER_URL": broker_url(),
                "HULEEDU_MAX_RUNS": "7",
            },
        )
        stack.callback(found.end)
        yield found


def test_a_part_does_not_start_before_the_set_up(parts: Parts) -> None:
    done = parts.run("serve", "web-server")
    assert done.returncode == 1
    assert done.stderr.startswith("huleedu: the ledger is at revision none")
    assert done.stderr.endswith("run `huleedu set-up` first\n")
    assert not (parts.home / "dagster").exists()


def test_up_is_refused_where_a_broker_hands_out_the_runs(parts: Parts) -> None:
    done = parts.run("up")
    assert done.returncode == 2
    assert "start each part with `huleedu serve`" in done.stderr


def test_the_health_of_what_is_not_there_is_one_line(parts: Parts) -> None:
    for part in ("code-server", "web-server", "intake", "worker"):
        code, line = parts.health(part)
        assert code == 1
        assert line.startswith("huleedu: ")
    code, line = parts.health("daemon")
    assert (code, line) == (
        1,
        "huleedu: Dagster's database cannot be asked for heartbeats",
    )


@pytest.mark.slow
def test_every_part_becomes_its_program_and_tells_its_health(parts: Parts) -> None:
    done = parts.run("set-up")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Dagster's tables: made\n")
    code_server = ("--code-server", f"127.0.0.1:{parts.ports['code-server']}")
    parts.serve("code-server")
    parts.serve("intake")
    parts.serve("worker")
    assert parts.wait("code-server") == "the code-server answers with its definitions"
    parts.serve("web-server", "--read-only", *code_server)
    parts.serve("daemon", *code_server)
    assert parts.wait("web-server") == "the web server answers and has loaded the definitions"
    assert "s ago" in parts.wait("daemon")
    assert parts.wait("intake") == "the intake is ready"
    assert parts.wait("worker") == "the worker answers"
    for part, program in {
        "code-server": "dagster api grpc",
        "web-server": "dagster_webserver",
        "daemon": "dagster._daemon run",
        "intake": "huleedu_dagster.intake",
        "worker": "celery_worker",
    }.items():
        assert program in parts.command_line(part)

    # In production nobody is signed in for sitting at this computer, and there is no first token.
    address = f"http://127.0.0.1:{parts.ports['intake']}"
    page = {"Accept": "text/html"}
    assert httpx.get(address, headers=page, trust_env=False, timeout=60).status_code == 303
    assert not (parts.home / "intake-token").exists()
    pages = Pages(f"http://127.0.0.1:{parts.ports['web-server']}")
    assert pages.ask("{ permissions { permission value } }")["permissions"] != []
    allowed = [it for it in pages.ask("{ permissions { value } }")["permissions"] if it["value"]]
    assert allowed == []
    info = pages.ask("{ instance { info } }")["instance"]["info"]
    assert "max_concurrent_runs: 7" in info
    assert "CeleryRunLauncher" in info

    user = DagsterHome(Settings(home=parts.home)).user()
    assert user is not None
    assert user.role == "serve daemon"
    second = parts.run("serve", "daemon", *code_server)
    assert second.returncode == 1
    assert f"`huleedu serve daemon` (process {user.pid}) works on this home" in second.stderr

    parts.kill("worker")
    assert parts.health("worker") == (1, "huleedu: no worker on this host answers")
    parts.kill("code-server")
    code, line = parts.health("code-server")
    assert code == 1
    assert "does not answer" in line
