"""Keeps a broker of one test session and ends it with the session, however that ends.

Run as `python -I -S valkey_keeper.py PROGRAM`, a program of its own, for the same reason as
`postgres_keeper`. Prints the port when the server answers. It uses the standard library alone.

The server is Valkey on loopback, on a port of its own. It keeps what it is told in a folder, so
that a server that was ended and started again knows it.
"""

import contextlib
import ctypes
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

_PR_SET_PDEATHSIG = 1
_PORTS_OF_CONNECTIONS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_CHOICE = 12_000
_START_SECONDS = 30
_STOP_SECONDS = 10
_ATTEMPTS = 3
_PATIENCE_SECONDS = 0.01


class BrokerEndedError(Exception):
    """The server did not start; what it said."""


class Valkey:
    """A server on the data of a folder.

    Args:
        program: The server's program.
        folder: Its data, kept when it is ended.
        password: What its clients have to know; anybody is served if it is empty.
    """

    def __init__(self, program: Path, folder: Path, password: str = "") -> None:
        self._program = program
        self._folder = folder
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def port(self) -> int:
        """Where it answers."""
        return self._port

    @property
    def url(self) -> str:
        """Its address with all that a client has to know."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, on the same port as before if it ran before; it answers on return."""
        if self._port:
            self._start()
            return
        for attempt in range(_ATTEMPTS):
            self._port = _free_port()
            try:
                self._start()
            except BrokerEndedError:
                # Between choosing a port and using it, another process may take it.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it in an orderly way; what it was told is in its folder."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def forget(self) -> None:
        """End it at once, and lose what it was told."""
        self.kill()
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def _start(self) -> None:
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        options = {"bind": "127.0.0.1", "port": str(self._port), "dir": str(data)}
        options |= {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
        if self._password:
            options["requirepass"] = self._password
        config = self._folder / "valkey.conf"
        config.write_text("".join(f'{name} "{value}"\n' for name, value in options.items()))
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, config],
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
                raise BrokerEndedError((self._folder / "log").read_text(errors="replace"))
            time.sleep(_PATIENCE_SECONDS)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                # Not while it still reads its data.
                return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


def _free_port() -> int:
    # Below those that connections are given: a server that starts again wants the same one.
    first = int(_PORTS_OF_CONNECTIONS.read_text().split()[0])
    while True:
        port = first - 1 - secrets.randbelow(_CHOICE)
        with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(program: Path) -> None:
    """Keep a server until the session ends."""
    # What ends this program in an ordered way ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = os.getppid()
    folder = Path(tempfile.mkdtemp(prefix="huleedu-broker-"))
    server = Valkey(program, folder)
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
