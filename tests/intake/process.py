"""The intake as a process of its own, started as an operator would and killed as nobody should."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import httpx

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.storage.local import LocalBlobStore
from tests.support.ledger import new_ledger

_SCOPES = (Scope.REGISTER, Scope.UPLOAD, Scope.READ)
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_START_SECONDS = 60


@dataclass
class IntakeProcess:
    """A running intake.

    Attributes:
        home: Its folder.
        ledger: Its ledger, opened here too.
        token: May register, upload and read.
        url: Its address.
        process: The process.
        log: The lines that it wrote so far, growing.
    """

    home: Path
    ledger: Ledger
    token: str
    url: str
    process: "subprocess.Popen[str]"
    log: list[str]

    @property
    def blobs(self) -> LocalBlobStore:
        """Its store, opened here too."""
        return LocalBlobStore(self.home / "blobs")

    def client(self) -> httpx.Client:
        """A client that sends the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def peak_memory(self) -> int:
        """The most memory that the process ever held, bytes."""
        return self._memory("VmHWM:")

    def memory(self) -> int:
        """The memory that the process holds now, bytes."""
        return self._memory("VmRSS:")

    def limit_files(self, size: int | None) -> None:
        """Let no file of the process become larger than this, bytes; `None` takes that back.

        As on a full disk, a write then ends in its middle, or fails.
        """
        _, hardest = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        soft = hardest if size is None else size
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, hardest))

    def open_files(self) -> tuple[int, int]:
        """How many files the process may open, and how many it could let itself."""
        return resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)

    def kill(self) -> None:
        """End it as a power cut would, as far as a process can be ended so."""
        self.process.kill()
        assert self.process.wait(60) == -signal.SIGKILL

    def remains(self) -> list[str]:
        """Files in store and spool that belong to no blob."""
        folders = (self.home / "spool", self.home / "blobs")
        found = [it for folder in folders for it in folder.rglob("*") if it.is_file()]
        return [str(it) for it in found if "spool" in it.parts or it.name.startswith(".tmp-")]

    def _memory(self, kind: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (it for it in status.splitlines() if it.startswith(kind))
        return int(line.split()[1]) * 1024


@contextmanager
def intake_process(home: Path, token: str = "", **settings: str) -> Iterator[IntakeProcess]:
    """Start the intake on a home and end it; on the same home again it goes on.

    Args:
        home: Its folder.
        token: One of this home; a new one is made if there is none.
        settings: Environment variables.
    """
    is_new = not (home / "ledger.db").exists()
    ledger = new_ledger(home / "ledger.db") if is_new else Ledger(f"sqlite:///{home / 'ledger.db'}")
    process = subprocess.Popen(
        [sys.executable, "-m", "huleedu_dagster.intake", "--port", "0"],
        env={**os.environ, **settings, "HULEEDU_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        log: list[str] = []
        url = _address(process, log)
        yield IntakeProcess(home, ledger, token or _token(ledger), url, process, log)
    finally:
        ledger.close()
        process.kill()
        process.wait(60)


def _token(ledger: Ledger) -> str:
    token = new_token()
    with ledger.write() as tx:
        tx.tokens.create("teacher", _SCOPES, hash_token(token))
    return token


def _address(process: "subprocess.Popen[str]", log: list[str]) -> str:
    found: Queue[str] = Queue()

    def read() -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                log.append(line)
                if said := _ADDRESS.search(line):
                    found.put(said[0])
        found.put("")

    # To the end, or the process would wait for somebody who reads its log.
    threading.Thread(target=read, daemon=True).start()
    url = found.get(timeout=_START_SECONDS)
    assert url, f"the intake ended: {''.join(log)}"
    return url
