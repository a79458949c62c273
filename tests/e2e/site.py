"""A home folder with a real `huleedu up` on it, started and stopped as a person would."""

import os
import queue
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view
from tests.e2e.graphql import Pages

UP = [sys.executable, "-m", "huleedu_dagster.cli.app", "up"]
_WORKER = "spawn_main"
_CODE_SERVER = "dagster api grpc"
_PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = 12_000
_given: set[int] = set()
_SERVERS = (_CODE_SERVER, "dagster_webserver", "dagster._daemon", "huleedu_dagster.intake")


def wait_for(is_so: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait until something is so; fail the test when it takes longer."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens on or was given, and that no connection gets meanwhile."""
    first = int(_PORTS_OF_CONNECTIONS.read_text().split()[0])
    # Each process of a test session that has several gives its own ones.
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = first - 1 - number - processes * secrets.randbelow(_PORTS // processes)
        if port not in _given and can_listen(port):
            _given.add(port)
            return port


def can_listen(port: int) -> bool:
    """Whether a server could start on a port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class Up:
    """One running `huleedu up`."""

    process: "subprocess.Popen[str]"
    revision: str
    lines: list[str] = field(default_factory=list)

    def read_until_up(self) -> None:
        """Wait for the line with the address; fail when the process ends before."""
        arrived: queue.Queue[str] = queue.Queue()

        def read() -> None:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self.lines.append(line)
                arrived.put(line)
            self.process.stdout.close()
            arrived.put("")

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        while "http://" not in (line := arrived.get(timeout=130)):
            assert line, f"`up` ended: {self.lines}"

    def end(self, number: int, seconds: float = 60) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def wait(self, seconds: float = 60) -> int:
        """Wait for the end; the exit code."""
        code = self.process.wait(timeout=seconds)
        self._reader.join(timeout=30)
        return code


class Site:
    """A home folder; at most one `up` runs on it, and it is started only when it is needed.

    Args:
        home: The folder.
        samples: Files to hand in.
        settings: What the environment says beside what is there.
    """

    def __init__(
        self, home: Path, samples: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.home = home
        self.port, self.intake_port = free_port(), free_port()
        self.pages = Pages(f"http://127.0.0.1:{self.port}")
        self.running: Up | None = None
        self._samples = samples
        self.settings = settings or {}
        self._ledger_file = home / "ledger.db"
        self._ledger = Ledger(
            self.settings.get("HULEEDU_LEDGER_URL", f"sqlite:///{self._ledger_file}")
        )

    def serve(self, revision: str = "") -> Up:
        """The running `up` with this spelling revision; another one is ended first."""
        if self.running is not None and self.running.process.poll() is not None:
            self.running = None
        if self.running is not None and self.running.revision != revision:
            self.stop()
        if self.running is None:
            self.running = Up(self.launch(revision=revision), revision)
            self.running.read_until_up()
        return self.running

    def launch(self, *, port: int | None = None, revision: str = "") -> "subprocess.Popen[str]":
        """Start `up` and wait for nothing."""
        environment = {
            **os.environ,
            "HULEEDU_SENSOR_INTERVAL_SECONDS": "1",
            "HULEEDU_INBOX_QUIET_SECONDS": "4",
            "HULEEDU_SPELLING_REVISION": revision,
            **self.settings,
        }
        return subprocess.Popen(
            [
                *(*UP, "--home", str(self.home), "--port", str(port or self.port)),
                *("--intake-port", str(self.intake_port)),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        assert self.running is not None
        code = self.running.end(signal.SIGINT)
        self.running = None
        return code

    def close(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.running is not None and self.running.process.poll() is None:
            self.running.end(signal.SIGINT)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._ledger.close()

    def hand_in(self, batch_id: str, pattern: str = "*") -> None:
        """Copy samples into the inbox as a batch."""
        folder = self.home / "inbox" / batch_id
        folder.mkdir(parents=True)
        for path in sorted(self._samples.glob(pattern)):
            shutil.copyfile(path, folder / path.name)

    def view(self, batch_id: str) -> BatchView | None:
        """The batch in the ledger, `None` before it is registered."""
        if self._ledger.url.startswith("sqlite") and not self._ledger_file.exists():
            return None
        with self._ledger.read() as tx:
            if tx.batches.find(batch_id) is None:
                return None
            return batch_view(BatchFacts.read(tx, batch_id), tx.now)

    def wait_until_ready(self, batch_id: str, seconds: float = 120) -> BatchView:
        """Wait until a batch is released."""

        def is_ready() -> bool:
            view = self.view(batch_id)
            return view is not None and view.status is BatchStatus.READY

        wait_for(is_ready, seconds=seconds, what=f"batch {batch_id} ready")
        view = self.view(batch_id)
        assert view is not None
        return view

    def processes(self, part: str = "") -> list[int]:
        """Children of `up` on this home whose command line holds `part`."""
        ours = f"DAGSTER_HOME={self.home / 'dagster'}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                # Zombies have an empty environment.
                environment = (entry / "environ").read_bytes().split(b"\0")
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if ours in environment and part in line:
                found.append(int(entry.name))
        return found

    def freeze_run_of(self, batch_id: str, pattern: str) -> int:
        """Hand in a batch and freeze the process that executes its run; the process."""
        # Of the runs before it none may be left, or the wrong one is frozen.
        wait_for(lambda: not self.processes(_WORKER), seconds=60, what="no run")
        self.hand_in(batch_id, pattern)
        wait_for(lambda: bool(self.processes(_WORKER)), seconds=60, what="a run")
        worker = self.processes(_WORKER)[0]
        os.kill(worker, signal.SIGSTOP)
        return worker

    def code_server(self) -> int:
        """The process of the code server."""
        return self.processes(_CODE_SERVER)[0]

    def servers(self) -> list[int]:
        """The processes of code server, web server and daemon that there are."""
        return [pid for part in _SERVERS for pid in self.processes(part)]
