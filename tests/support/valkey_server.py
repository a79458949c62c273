"""Valkey on loopback, on a port of its own.

It keeps what it is told in a folder, so that a server that was ended and started again knows it.
The standard library alone, as `local_server` says.
"""

import shutil
import socket
from pathlib import Path

from tests.support.local_server import LocalServer

_STOP_SECONDS = 10


class Valkey(LocalServer):
    """A broker on the data of a folder.

    Args:
        program: The server's program.
        folder: Its data, kept when it is ended.
        password: What its clients have to know; anybody is served if it is empty.
    """

    def __init__(self, program: Path, folder: Path, password: str = "") -> None:
        super().__init__(program, folder)
        self._password = password

    @property
    def url(self) -> str:
        """Its address with all that a client has to know."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

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

    def _command(self, data: Path) -> list[str | Path]:
        options = {"bind": "127.0.0.1", "port": str(self.port), "dir": str(data)}
        options |= {"appendonly": "yes", "appendfsync": "everysec", "save": ""}
        if self._password:
            options["requirepass"] = self._password
        config = self._folder / "valkey.conf"
        config.write_text("".join(f'{name} "{value}"\n' for name, value in options.items()))
        return [self._program, config]

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as client:
                client.sendall(b"PING\r\n")
                # Not while it still reads its data.
                return client.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False
