"""Watching a batch: events as they come, on real sockets."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
import uvicorn
from sqlalchemy.exc import OperationalError

from huleedu_dagster.domain.access import Scope, hash_token
from huleedu_dagster.intake.serving import IntakeServer
from huleedu_dagster.intake.watching import Pace, Streams
from huleedu_dagster.pipeline.reprocessing import reprocess
from tests.intake.browsers import browser, session_of
from tests.intake.served import EVERY_SCOPE, Served
from tests.support.waiting import wait_for
from tests.support.workshop import Workshop

URL = "/v1/batches/class-a/stream"
QUICK = Pace(poll=0.02, check=0.05, heartbeat=0.1, patience=30.0, retry=0.2)
IMPATIENT = replace(QUICK, patience=0.5)


@dataclass
class Event:
    """One server-sent event."""

    name: str
    event_id: str
    data: dict[str, Any]


class Watcher:
    """A client that reads a stream line by line."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()
        self.comments = 0

    def event(self) -> Event | None:
        """The next event; `None` once the stream has ended."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                return Event(fields["event"], fields["id"], json.loads(fields["data"]))
            else:
                fields = {}
        return None

    def next(self, name: str = "batch") -> Event:
        """The next event, which has this name."""
        found = self.event()
        assert found is not None
        assert found.name == name
        return found

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The data of the first event that fulfils a condition."""
        while True:
            found = self.next().data
            if condition(found):
                return found

    def rest(self) -> list[str]:
        """The names of the events until the stream ends."""
        return [it.name for it in iter(self.event, None)]


@contextmanager
def watching(
    client: httpx.Client, last_event_id: str | None = None, url: str = URL
) -> Iterator[Watcher]:
    """Watch a batch until the block ends."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with client.stream("GET", url, headers=headers) as answer:
        yield Watcher(answer)


@pytest.fixture
def quick(served: Served) -> Served:
    """An intake whose streams hurry, with a batch of two in it."""
    served.app.state.streams = Streams(served.shop.ledger, QUICK)
    return served


def teacher_with_batch(served: Served, expected: int = 2) -> httpx.Client:
    """A client that has registered `class-a`."""
    client = served.teacher()
    asked = {"batch_id": "class-a", "expected_essay_count": expected}
    assert client.post("/v1/batches/register", json=asked).status_code == 201
    return client


def finish(shop: Workshop, expected: int = 2) -> None:
    """Hand in, process and release the whole batch."""
    for number in range(expected):
        shop.receive(f"{number}.txt", f"Essay {number} about teh wide sea.".encode())
    shop.process_pending()
    shop.release()


def test_a_stream_tells_the_state_now_then_every_change_and_ends_when_settled(
    quick: Served,
) -> None:
    client = teacher_with_batch(quick)
    with watching(client) as watcher:
        assert watcher.answer.headers["content-type"].startswith("text/event-stream")
        assert watcher.answer.headers["cache-control"] == "no-store"
        first = watcher.next()
        assert first.data == client.get("/v1/batches/class-a").json()
        quick.shop.receive("a.txt")
        assert watcher.next().data["essays"][0]["outcome"] == "pending"
        quick.shop.process("e001")
        assert watcher.next().data["ready"] == 1
        quick.shop.receive("b.txt", b"Another essay about the sea and the ships.")
        quick.shop.process("e002")
        quick.shop.release()
        last = watcher.until(lambda it: it["status"] == "ready")
        assert last == client.get("/v1/batches/class-a").json()
        assert watcher.next("settled").data == {"batch_id": "class-a", "status": "ready"}
        assert watcher.event() is None


def test_a_client_that_comes_back_is_told_what_it_does_not_know(quick: Served) -> None:
    client = teacher_with_batch(quick)
    with watching(client) as watcher:
        known = watcher.next().event_id
    with watching(client, known) as watcher:
        quick.shop.receive("a.txt")
        # Nothing before it: the state of before is known.
        assert watcher.next().data["received"] == 1
    with watching(client, known) as watcher:
        assert watcher.next().data["received"] == 1


def test_a_client_that_knows_the_end_is_not_streamed_to_again(quick: Served) -> None:
    client = teacher_with_batch(quick)
    finish(quick.shop)
    with watching(client) as watcher:
        state, settled = watcher.next(), watcher.next("settled")
    with watching(client, state.event_id) as watcher:
        assert watcher.rest() == ["settled"]
    again = client.get(URL, headers={"Last-Event-ID": settled.event_id})
    assert (again.status_code, again.content) == (204, b"")
    quick.shop.receive("2.txt", b"An essay for which there is no place.")
    with watching(client, settled.event_id) as watcher:
        assert watcher.next().data["excess"] == 1


def test_a_quiet_stream_sends_comments_and_no_events(quick: Served) -> None:
    client = teacher_with_batch(quick)
    with watching(client) as watcher:
        watcher.next()
        reader = threading.Thread(target=lambda: watcher.event())
        reader.start()
        wait_for(lambda: watcher.comments >= 2, 60)
        quick.shop.receive("a.txt")
        reader.join(60)
        assert not reader.is_alive()


def test_a_batch_of_another_cannot_be_watched(quick: Served) -> None:
    teacher_with_batch(quick)
    stranger = quick.teacher("stranger")
    for url in (URL, "/v1/batches/nothing/stream", "/v1/batches/%00/stream"):
        answer = stranger.get(url)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_a_token_that_is_revoked_ends_its_streams_and_no_other(quick: Served) -> None:
    teacher_with_batch(quick)
    token = quick.token("short", Scope.READ, Scope.OPERATE)
    with watching(quick.operator()) as other, watching(quick.client(token)) as watcher:
        other.next()
        watcher.next()
        with quick.shop.ledger.write() as tx:
            found = tx.tokens.find_by_hash(hash_token(token))
            assert found is not None
            tx.tokens.revoke(found.token_id)
        assert watcher.rest() == []
        quick.shop.receive("a.txt")
        assert other.next().data["received"] == 1


def test_all_who_watch_a_batch_share_one_poller_that_ends_with_the_last(quick: Served) -> None:
    client = teacher_with_batch(quick)
    streams: Streams = quick.app.state.streams
    with watching(client) as one:
        one.next()
        with watching(client) as two:
            two.next()
            assert streams.watched == {"class-a": 2}
            quick.shop.receive("a.txt")
            assert one.next().event_id == two.next().event_id
        wait_for(lambda: streams.watched == {"class-a": 1}, 60)
    wait_for(lambda: streams.watched == {}, 60)


def test_a_slow_client_holds_nobody_up_and_gets_the_latest_state(quick: Served) -> None:
    client = teacher_with_batch(quick, expected=99)
    # Long names, so that what is not read fills every buffer on its way.
    for number in range(60):
        quick.shop.receive(f"{number}{'n' * 900}.txt")
    changes = 60
    with watching(client) as watcher, slow_connection(quick) as slow:
        for number in range(changes):
            seen = watcher.next().data
            assert seen["ready"] == number
            quick.shop.process(f"e{number + 1:03}")
        told = read_all(slow, b'"ready":60')
    assert told.count(b"event: batch") < changes


@contextmanager
def slow_connection(served: Served) -> Iterator[socket.socket]:
    """A connection that asked to watch the batch and reads nothing."""
    host, port = served.url.removeprefix("http://").split(":")
    token = served.token("slow", Scope.READ, Scope.OPERATE)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))
        connection.settimeout(60)
        head = f"GET {URL} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        connection.sendall(head.encode())
        wait_for(lambda: served.app.state.streams.watched.get("class-a", 0) == 2, 60)
        yield connection


def read_all(connection: socket.socket, end: bytes) -> bytes:
    """What a connection gives until these bytes are in it."""
    told = b""
    while end not in told:
        piece = connection.recv(1 << 16)
        assert piece, "the stream ended"
        told += piece
    return told


def test_a_ledger_that_is_away_for_a_moment_ends_no_stream(
    quick: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = teacher_with_batch(quick)
    with watching(client) as watcher:
        watcher.next()
        with ledger_away(monkeypatch) as asked:
            wait_for(lambda: len(asked) >= 3, 60)
        quick.shop.receive("a.txt")
        assert watcher.next().data["received"] == 1


def test_a_ledger_that_stays_away_ends_streams_without_the_last_event(
    quick: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick.app.state.streams = Streams(quick.shop.ledger, IMPATIENT)
    client = teacher_with_batch(quick)
    with watching(client) as watcher:
        watcher.next()
        with ledger_away(monkeypatch):
            assert watcher.rest() == []
            answer = client.get(URL)
    assert (answer.status_code, answer.json()["code"]) == (503, "UNAVAILABLE")


@contextmanager
def ledger_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let every look at a batch fail; gives those that did."""
    asked: list[str] = []

    def fail(_: Any, batch_id: str) -> None:
        asked.append(batch_id)
        raise OperationalError("", None, OSError())

    with monkeypatch.context() as patch:
        patch.setattr("huleedu_dagster.ledger.progress.ProgressRows.of_batch", fail)
        yield asked


def test_a_server_that_ends_does_not_wait_for_those_who_watch(served: Served) -> None:
    client = teacher_with_batch(served)
    config = uvicorn.Config(
        served.app, log_config=None, access_log=False, timeout_graceful_shutdown=600
    )
    server = IntakeServer(config, served.app.state.streams)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        port = listener.getsockname()[1]
        wait_for(lambda: server.started, 60)
        with watching(client, url=f"http://127.0.0.1:{port}{URL}") as watcher:
            watcher.next()
            server.should_exit = True
            thread.join(60)
            is_over = not thread.is_alive()
            server.force_exit = True
            assert watcher.rest() == []
        assert is_over


def test_a_browser_that_signs_out_is_told_nothing_more(quick: Served) -> None:
    client = browser(quick, quick.token("all", *EVERY_SCOPE))
    quick.shop.register()
    with watching(client) as watcher:
        watcher.next()
        quick.app.state.services.sessions.end(session_of(quick, client))
        assert watcher.rest() == []


def test_a_stream_goes_on_while_essays_are_worked_over_again(quick: Served) -> None:
    client = teacher_with_batch(quick)
    finish(quick.shop)
    reprocess(quick.shop.ledger, "class-a", ["e001"])
    with watching(client) as watcher:
        assert watcher.next().data["status"] == "ready"
        essay = quick.shop.essay("e001")
        told = [quick.shop.pipeline.stored(essay)]
        quick.shop.pipeline.mark_shown("class-a", told, ["e001"], [essay])
        assert watcher.next().data["status"] == "ready"
        assert watcher.rest() == ["settled"]
