"""Clients that hand in files of one batch at the same time, over sockets of their own.

A seed decides everything that they do: their files, how a request is cut into pieces, whether it
breaks off, and who sends next. A client is a generator that does one thing with its socket for each
step, so that two of them can be interleaved by hand or left to run against each other.
"""

import json
import random
import socket
import threading
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.intake import forms

EXPECTED = 7
_SIZES = (0, 1, 60, 700, 9_000, 70_000)
_PIECES = (1, 2, 5, 12)
_PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class File:
    """A file that is handed in."""

    path: str
    data: bytes


@dataclass
class Request:
    """One request with files.

    Attributes:
        key: Its Idempotency-Key, if it has one.
        cut: Whether it breaks off somewhere before its end.
        deaf: Whether its client goes away before the answer, and then sends it again.
        answer: What was answered, once it was.
    """

    files: list[File]
    key: str | None = None
    cut: bool = False
    deaf: bool = False
    correlation_id: str = ""
    answer: dict[str, Any] | None = None


@dataclass
class Plan:
    """What two clients do in one batch.

    Attributes:
        requests: Of each client, in order.
        by_turns: Whether a step of one client follows a step of the other as the seed decides;
            else each has a thread of its own.
        kinds: Names of what is special about it.
    """

    seed: int
    requests: tuple[list[Request], list[Request]]
    by_turns: bool
    kinds: set[str] = field(default_factory=set)

    @property
    def every_request(self) -> list[Request]:
        """The requests of both clients."""
        return [*self.requests[0], *self.requests[1]]


def plan(seed: int) -> Plan:
    """What the clients of a seed do."""
    chance = random.Random(seed)
    kinds: set[str] = set()
    first, second = (_files(chance, name) for name in ("ann", "bo"))
    for number in range(chance.choice((0, 0, 1, 2))):
        same = chance.random() < 0.5
        kinds.add("same path and bytes" if same else "same path")
        data = first[number].data if same else second[number].data + b"!"
        second[number] = File(first[number].path, data)
    chance.shuffle(second)
    requests = tuple(_requests(chance, files, kinds) for files in (first, second))
    by_turns = chance.random() < 0.6
    kinds.add("by turns" if by_turns else "at will")
    return Plan(seed, (requests[0], requests[1]), by_turns, kinds)


def same_request_twice(seed: int) -> Plan:
    """Both clients send the same files under one key, each in one request."""
    chance = random.Random(seed)
    files, key = _files(chance, "ann"), _uuid(chance)
    first, second = (
        [Request(files, key, deaf=chance.random() < 0.3, correlation_id=_uuid(chance))]
        for _ in range(2)
    )
    return Plan(seed, (first, second), by_turns=chance.random() < 0.5)


def _files(chance: random.Random, name: str) -> list[File]:
    return [
        File(f"{name}/{number}.txt", _bytes(chance, f"{name} {number} "))
        for number in range(chance.randint(5, 7))
    ]


def _bytes(chance: random.Random, text: str) -> bytes:
    return text.encode() + chance.randbytes(chance.choice(_SIZES))


def _requests(chance: random.Random, files: list[File], kinds: set[str]) -> list[Request]:
    each = chance.random() < 0.5
    kinds.add("a request for each file" if each else "one request")
    found = [Request([it]) for it in files] if each else [Request(files)]
    if chance.random() < 0.3:
        for request in found:
            request.key = _uuid(chance)
    trouble = chance.choice(("", "", "cut", "deaf"))
    if trouble:
        kinds.add(trouble)
        at = chance.randrange(len(found))
        again = found[at]
        if trouble == "cut":
            found.insert(at, Request(again.files, again.key, cut=True))
        again.key = again.key or _uuid(chance)
        again.deaf = trouble == "deaf"
    for request in found:
        request.correlation_id = _uuid(chance)
    return found


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


@dataclass(frozen=True)
class Client:
    """Sends requests, one after the other.

    Attributes:
        url: Address of the intake.
    """

    url: str
    token: str
    batch_id: str
    requests: Sequence[Request]
    chance: random.Random

    def steps(self) -> Generator[None]:
        """Do everything, a little with each step."""
        for request in self.requests:
            if request.deaf:
                yield from self._send(request, listens=False)
            if request.cut:
                yield from self._send(request, listens=False)
                continue
            until = time.monotonic() + _PATIENCE_SECONDS
            while request.answer is None:
                assert time.monotonic() < until, "the request stays under way"
                yield from self._send(request, listens=True)

    def _send(self, request: Request, *, listens: bool) -> Iterator[None]:
        whole = self._bytes(request)
        end = self.chance.randrange(len(whole)) if request.cut else len(whole)
        places = sorted(
            self.chance.randrange(end + 1) for _ in range(self.chance.choice(_PIECES) - 1)
        )
        address = urlsplit(self.url)
        host, port = str(address.hostname), int(address.port or 0)
        with socket.create_connection((host, port), _PATIENCE_SECONDS) as connection:
            for start, stop in zip([0, *places], [*places, end], strict=True):
                connection.sendall(whole[start:stop])
                yield
            if listens:
                self._listen(request, connection)
        yield

    def _listen(self, request: Request, connection: socket.socket) -> None:
        response = HTTPResponse(connection, method="POST")
        response.begin()
        body = json.loads(response.read())
        if response.status == 409:
            # Its first sending is still under way.
            assert body["code"] == "REQUEST_IN_PROGRESS"
            return
        assert response.status == 201, body
        request.answer = body

    def _bytes(self, request: Request) -> bytes:
        parts = [forms.file(it.path.encode(), it.data) for it in request.files]
        body = forms.form(forms.field("batch_id", self.batch_id), *parts)
        headers = {
            "Host": "localhost",
            "Authorization": f"Bearer {self.token}",
            "X-Correlation-ID": request.correlation_id,
            "Content-Length": str(len(body)),
            **forms.KIND,
            **({} if request.key is None else {"Idempotency-Key": request.key}),
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return "".join((f"POST {forms.URL} HTTP/1.1\r\n", *lines, "\r\n")).encode() + body


def act(plan: Plan, url: str, token: str, batch_id: str) -> None:
    """Let both clients of a plan do what they do, to the end."""
    chance = random.Random(plan.seed + 1_000_000)
    clients = [
        Client(url, token, batch_id, requests, random.Random(chance.random()))
        for requests in plan.requests
    ]
    with ExitStack() as stack:
        # Of a test that fails no request is left half sent.
        running = [stack.enter_context(closing(client.steps())) for client in clients]
        (_by_turns if plan.by_turns else _at_will)(running, chance)


def _by_turns(clients: Sequence[Iterator[None]], chance: random.Random) -> None:
    running = list(clients)
    long_pauses = chance.choice((0, 0, 0, 1))
    while running:
        client = chance.choice(running)
        if next(client, running) is running:
            running.remove(client)
        if chance.random() < 0.2:
            time.sleep(chance.random() * 0.003)
        if long_pauses and chance.random() < 0.2:
            # Long enough for what came whole to get its place before the rest comes.
            long_pauses -= 1
            time.sleep(0.15)


def _at_will(running: Sequence[Iterator[None]], chance: random.Random) -> None:
    gate = threading.Barrier(len(running))
    failed: list[BaseException] = []

    def run(client: Iterator[None], own: random.Random) -> None:
        gate.wait()
        try:
            for _ in client:
                if own.random() < 0.3:
                    time.sleep(own.random() * 0.003)
        except BaseException as error:
            failed.append(error)

    seeds = [random.Random(chance.random()) for _ in running]
    threads = [threading.Thread(target=run, args=it) for it in zip(running, seeds, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * _PATIENCE_SECONDS)
    if failed:
        raise failed[0]
