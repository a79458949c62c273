"""Something between a client and a server on this machine that does not always let them speak."""

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024
_BUSY = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request "
    b"rate.</Message></Error>"
)
Fault = Callable[["Between", socket.socket], None]


class Between:
    """Passes connections on to a port of this machine, but for those that meet a fault.

    Args:
        port: Where the server listens.
        faults: What happens to the next connections, in turn.
        always: What happens to all that follow; they are passed on when left out.

    Attributes:
        port: Where it listens itself.
        connections: How many it took.
        requests: How many HTTP requests it passed on.
    """

    def __init__(
        self, port: int, faults: Iterable[Fault] = (), always: Fault | None = None
    ) -> None:
        self._target = port
        self._faults = deque(faults)
        self._always = always
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.ended = threading.Event()
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.requests = 0

    def __enter__(self) -> Self:
        self._begin(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        for it in (self._listener, *self._open):
            with suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)
            it.close()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def pass_on(
        self,
        client: socket.socket,
        most_there: float = float("inf"),
        most_back: float = float("inf"),
        cut: Callable[[], None] | None = None,
    ) -> None:
        """Pass on what comes.

        Args:
            client: The connection.
            most_there: Bytes after which the client is no longer heard.
            most_back: Bytes after which the server is no longer heard.
            cut: Called when one of them is reached, before the connection ends.
        """
        server = socket.create_connection(("127.0.0.1", self._target))
        self._open.append(server)
        self._begin(self._copy, client, server, most_there, cut, True)
        self._copy(server, client, most_back, cut, False)

    def _copy(
        self,
        source: socket.socket,
        target: socket.socket,
        most: float,
        cut: Callable[[], None] | None,
        counted: bool,
    ) -> None:
        with suppress(OSError):
            while most > 0 and (chunk := source.recv(int(min(most, _CHUNK)))):
                most -= len(chunk)
                self.requests += counted * chunk.count(b" HTTP/1.1\r\n")
                target.sendall(chunk)
        if most <= 0 and cut is not None:
            cut()
        for it in (source, target):
            with suppress(OSError):
                it.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._open.append(client)
                self.connections += 1
                fault = self._faults.popleft() if self._faults else self._always
                self._begin(self._serve, client, fault)

    def _serve(self, client: socket.socket, fault: Fault | None) -> None:
        with suppress(OSError):
            if fault is None:
                self.pass_on(client)
            else:
                fault(self, client)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _begin(self, act: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=act, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()


def dropped(between: Between, client: socket.socket) -> None:
    """The connection ends before anything is said."""


def silent(between: Between, client: socket.socket) -> None:
    """Nobody ever answers."""
    between.ended.wait()


def busy(between: Between, client: socket.socket) -> None:
    """The server has too much to do, and says so when it has heard a short request."""
    client.recv(_CHUNK)
    head = "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    client.sendall(f"{head}Content-Length: {len(_BUSY)}\r\n\r\n".encode() + _BUSY)


def cut_off(after: int) -> Fault:
    """The answer breaks off after so many bytes."""
    return lambda between, client: between.pass_on(client, most_back=after)
