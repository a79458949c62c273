"""Keeps an S3 server of one test session and ends it with the session, however that ends.

Run as `python -I -S seaweed_keeper.py PROGRAM`, a program of its own, for the same reason as
`postgres_keeper`. Prints the port when the server answers. It uses the standard library alone.

The server is SeaweedFS with all its parts in one process, on loopback and on ports of its own.
"""

import contextlib
import ctypes
import http.client
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ACCESS_KEY = "test-key"
SECRET_KEY = "test-secret"
# May do what the policy of a bucket allows, and nothing else.
GUEST_KEY = "guest-key"
_PR_SET_PDEATHSIG = 1
_PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 12_000
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 * 1024**3
_START_SECONDS = 60
_ATTEMPTS = 3
_PORTS = ("s3.port", "master.port", "volume.port", "filer.port", "admin.port")
_OPTIONS = (
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    # Otherwise a bucket that is missing would never be noticed.
    "-s3.autoCreateBucket=false",
    "-volume.preStopSeconds=0",
)
_IDENTITIES = [
    {
        "name": "tests",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin"],
    },
    {
        "name": "guest",
        "credentials": [{"accessKey": GUEST_KEY, "secretKey": SECRET_KEY}],
        "actions": [],
    },
]


class ServerEndedError(Exception):
    """The server did not start; what it said."""


class Seaweed:
    """A server on the data of a folder.

    Args:
        program: The server's program.
        folder: Its data, kept when it is killed.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[int] = []

    @property
    def port(self) -> int:
        """Where it answers."""
        return self._ports[0]

    def start(self) -> None:
        """Start it, on the same ports as before if it ran before; it answers on return."""
        if self._ports:
            self._start()
            return
        for attempt in range(_ATTEMPTS):
            self._ports = _free_ports(2 * len(_PORTS))
            try:
                self._start()
            except ServerEndedError:
                # Between choosing a port and using it, another process may take it.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = self._folder / "keys.json"
        config.write_text(json.dumps({"identities": _IDENTITIES}))
        names = [*_PORTS, *(f"{name}.grpc" for name in _PORTS)]
        ports = [f"-{name}={port}" for name, port in zip(names, self._ports, strict=True)]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._program, "mini", f"-dir={data}", f"-s3.config={config}", *_OPTIONS, *ports],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                preexec_fn=_end_with_the_parent,
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise ServerEndedError((self._folder / "log").read_text(errors="replace"))
            time.sleep(0.01)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _free_ports(count: int) -> list[int]:
    # Below those that connections are given: a server that starts again wants the same ones.
    first = int(_PORTS_OF_CONNECTIONS.read_text().split()[0])
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            it = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                it.bind(("127.0.0.1", first - 1 - secrets.randbelow(_CHOICE)))
                found.append(it.getsockname()[1])
    return found


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _parent_folder() -> str | None:
    roomy = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    return str(_MEMORY) if roomy else None


def main(program: Path) -> None:
    """Keep a server until the session ends."""
    # What ends this program in an ordered way ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = os.getppid()
    folder = Path(tempfile.mkdtemp(prefix="huleedu-s3-", dir=_parent_folder()))
    server = Seaweed(program, folder)
    try:
        server.start()
        print(server.port, flush=True)
        while os.getppid() == parent:
            if select.select([sys.stdin], [], [], 1)[0]:
                return
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
