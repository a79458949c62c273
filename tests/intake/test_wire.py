"""Connections: who sends heads without end, says nothing, or reads nothing is let go."""

import asyncio
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from huleedu_dagster.intake.wire import MAX_HEAD_BYTES, MAX_HEADERS, IntakeProtocol
from tests.intake.forms import KIND, URL, field, file, form, hand_in, register
from tests.intake.process import IntakeProcess, intake_process
from tests.intake.served import LIMITS, Served, running, serving
from tests.support.waiting import wait_for

MB = 1_000_000
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CONNECTIONS = 20


class Hasty(IntakeProtocol):
    """The same with less patience."""

    HEAD_SECONDS = 0.6
    SEND_SECONDS = 0.6
    alive: ClassVar[set[IntakeProtocol]] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        self.alive.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self.alive.discard(self)
        super().connection_lost(exc)


def connected(url: str, sent: bytes = b"", most_unread: int = 0) -> socket.socket:
    """A connection on which something was sent, with little room for what is not read if told."""
    at = urlsplit(url)
    made = socket.socket()
    if most_unread:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most_unread)
    made.settimeout(60)
    made.connect((str(at.hostname), int(at.port or 0)))
    made.sendall(sent)
    return made


def rest(connection: socket.socket) -> bytes:
    """What comes until the other end closes the connection."""
    found = b""
    try:
        while data := connection.recv(65_536):
            found += data
    except ConnectionError:
        pass
    return found


def status(connection: socket.socket) -> bytes:
    """The status of the next answer."""
    return connection.recv(65_536)[:12]


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IntakeProcess]:
    """The intake as its operator starts it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1_024), hard))
    try:
        with intake_process(tmp_path_factory.mktemp("home")) as found:
            yield found
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def hasty(folder: Path, idle_seconds: float = 30) -> Iterator[tuple[Served, str]]:
    """An intake and the address of one of its servers, which has less patience."""
    limits = replace(LIMITS, idle_seconds=idle_seconds, max_file_bytes=20 * MB)
    limits = replace(limits, max_request_bytes=30 * MB)
    with (
        serving(folder, limits) as served,
        socket.socket() as listener,
        running(served.counted, listener, Hasty) as url,
    ):
        yield served, url


def bearer(token: str) -> bytes:
    """Headers that every request with a token has."""
    return f"Host: localhost\r\nAuthorization: Bearer {token}\r\n".encode()


@pytest.mark.parametrize(
    "begin",
    [
        HEAD,
        # Headers may stand behind a body too.
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    ],
)
@pytest.mark.parametrize("line", [b"X-Large: " + b"x" * 990 + b"\r\n", b"x" * 1_000, b"a:b\r\n"])
def test_headers_without_end_fill_no_memory(
    intake: IntakeProcess, begin: bytes, line: bytes
) -> None:
    with connected(intake.url, HEAD + b"\r\n") as warm:
        assert status(warm) == b"HTTP/1.1 200"
    before = intake.memory()
    with connected(intake.url, begin) as endless, pytest.raises(ConnectionError):
        # More than fits into the buffers on the way.
        endless.sendall(line * (20 * MB // len(line)))
    assert intake.memory() - before < 10 * MB


def test_a_head_may_be_large_and_come_in_pieces(intake: IntakeProcess) -> None:
    with connected(intake.url) as slow:
        for _ in range(3):
            slow.sendall(HEAD)
            for number in range(MAX_HEADERS - 1):
                slow.sendall(
                    f"X-{number}: {'x' * (MAX_HEAD_BYTES // 2 // MAX_HEADERS)}\r\n".encode()
                )
            slow.sendall(b"\r\n")
            found = b""
            while not found.endswith(b'{"status":"ok"}'):
                data = slow.recv(65_536)
                assert data, found
                found += data
        slow.sendall(HEAD + b"a: b\r\n" * MAX_HEADERS + b"\r\n")
        assert status(slow) == b"HTTP/1.1 400"


def test_requests_before_their_answers_are_answered_up_to_a_number(intake: IntakeProcess) -> None:
    with connected(intake.url, (HEAD + b"\r\n") * 10) as some:
        found = b""
        while found.count(b"HTTP/1.1 200") < 10:
            data = some.recv(65_536)
            assert data, found
            found += data
    before = intake.memory()
    with connected(intake.url, (HEAD + b"\r\n") * 20_000) as many:
        assert rest(many).count(b"HTTP/1.1 200") < 20_000
    assert intake.memory() - before < 10 * MB


def test_a_request_for_a_websocket_gets_none_and_its_path_is_in_no_log(
    intake: IntakeProcess,
) -> None:
    asked = (
        b"GET /v1/batches/anna-svensson HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with connected(intake.url, asked) as refused:
        assert status(refused) == b"HTTP/1.1 401"
    wait_for(lambda: any("upgrade" in it for it in intake.log), 60)
    assert "anna" not in "".join(intake.log)


def test_every_connection_may_have_its_file_descriptor(intake: IntakeProcess) -> None:
    soft, hard = intake.open_files()
    assert soft == min(hard, 65_536)


def test_more_connections_than_are_held_are_closed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huleedu_dagster.intake.wire.MAX_CONNECTIONS", 3)
    with serving(tmp_path) as served, ExitStack() as stack:
        held = [stack.enter_context(connected(served.url, HEAD)) for _ in range(3)]
        with connected(served.url) as refused:
            assert rest(refused) == b""
        held[0].sendall(b"\r\n")
        assert status(held[0]) == b"HTTP/1.1 200"


def test_who_says_nothing_is_let_go_and_who_is_slow_goes_on(tmp_path: Path) -> None:
    with hasty(tmp_path) as (served, url), ExitStack() as stack:

        def connect(sent: bytes = b"") -> socket.socket:
            return stack.enter_context(connected(url, sent))

        token = served.token("teacher")
        register(served.client(token))
        head = bearer(token)
        watcher = connect(b"GET /v1/batches/class-a/stream HTTP/1.1\r\n" + head + b"\r\n")
        assert status(watcher) == b"HTTP/1.1 200"
        body = form(field("batch_id", "class-a"), file(b"a.txt", b"x" * 40))
        upload = connect(
            f"POST {URL} HTTP/1.1\r\nContent-Type: {KIND['Content-Type']}\r\n".encode()
            + f"Content-Length: {len(body)}\r\n".encode()
            + head
            + b"\r\n"
        )
        answered = HEAD + b"\r\n"
        unread = (
            b"POST /v1/batches/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n"
        )
        # The last two go on to send something that is no request.
        begun = [b"", HEAD, answered + HEAD, answered + b"\r\n", unread]
        silent = [connect(it) for it in begun * (CONNECTIONS // 2)]
        closed: list[bytes] = []
        threads = [threading.Thread(target=lambda it=it: closed.append(rest(it))) for it in silent]
        for thread in threads:
            thread.start()
        tries = 10
        for at in range(tries):
            upload.sendall(body[at * len(body) // tries : (at + 1) * len(body) // tries])
            for it in silent[4::5]:
                with suppress(OSError):
                    it.sendall(b"x")
            time.sleep(3 * Hasty.HEAD_SECONDS / tries)
        wait_for(lambda: len(closed) == len(silent), 60)
        assert status(upload) == b"HTTP/1.1 201"
        watcher.settimeout(0.1)
        # The connection is open: the events so far, and then nothing.
        with pytest.raises(TimeoutError):
            rest(watcher)


def test_who_reads_no_answer_is_let_go_with_or_without_a_place(tmp_path: Path) -> None:
    with hasty(tmp_path, idle_seconds=1) as (served, url):
        client = served.client(token := served.token("teacher"))
        register(client)
        (kept,) = hand_in(client, {"a.txt": b"x" * 8 * MB}).json()["files"]
        path = f"/v1/batches/class-a/essays/{kept['essay_id']}/raw"
        asked = f"GET {path} HTTP/1.1\r\n".encode() + bearer(token) + b"\r\n"
        begun = served.counted.begun

        def is_let_go() -> bool:
            return served.counted.begun > begun and not served.counted.under_way

        # Its place is given back by the door, long before the usual connection ends.
        with connected(served.url, asked, most_unread=4_096):
            wait_for(is_let_go, 60)
        description = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        # One answer that is larger than all buffers, and many that are together.
        for sent in (asked, description * 15):
            begun = served.counted.begun
            with connected(url, sent, most_unread=4_096):
                wait_for(lambda: is_let_go() and not Hasty.alive, 60)
        # What is read slowly but read comes whole.
        with connected(url, asked, most_unread=65_536) as slow:
            found = 0
            while found < 8 * MB:
                data = slow.recv(400_000)
                assert data, found
                found += len(data)
                time.sleep(0.005)
