"""What holds for every request: ids, hosts, sizes, limits, headers and the form of errors."""

import asyncio
import random
import socket
import threading
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest

from huleedu_dagster.intake.contracts import RegisterRequest
from tests.intake.forms import GOOD, KIND, URL, field, file, form, register
from tests.intake.served import LIMITS, Served, serving
from tests.support.lines import captured

PROBLEM = "application/problem+json"
FIELDS = [*RegisterRequest.model_fields, "reason", "limit", "offset", "all", "files"]
ODD_TEXTS = ["", " ", "\x00", "%00", "..", "../x", "\u202e", "e999", "-1", "9" * 30, "x" * 3_000]
ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    1e308,
    [],
    ["\x00"],
    [[]],
    {},
    {"a": []},
    "2026-01-01",
]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The problem that an answer holds, complete."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, object] = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert str(body["type"]).startswith("urn:huleedu:problem:")
    assert body["title"]
    assert body["detail"]
    assert body["next_step"]
    assert body["correlation_id"] == answer.headers["x-correlation-id"]
    return body


def test_a_correlation_id_is_echoed_and_made_if_missing(served: Served) -> None:
    client = served.client()
    sent = str(uuid.uuid4())
    for given in (sent, sent.upper()):
        answer = client.get("/healthz", headers={"X-Correlation-ID": given})
        assert answer.headers["x-correlation-id"] == sent
    made = {client.get("/healthz").headers["x-correlation-id"] for _ in range(2)}
    assert len({uuid.UUID(it) for it in made}) == 2


def test_a_correlation_id_that_is_no_uuid_is_refused(served: Served) -> None:
    client = served.teacher()
    body = {"batch_id": "class-a"}
    for given in ("", "x", "{%s}", "urn:uuid:%s", "%s,%s"):
        text = given.replace("%s", str(uuid.uuid4()))
        answer = client.post("/v1/batches/register", json=body, headers={"X-Correlation-ID": text})
        found = problem(answer, 422, "INVALID_REQUEST")
        assert uuid.UUID(str(found["correlation_id"]))
    assert client.get("/v1/batches").json() == []


def test_only_names_of_this_machine_and_configured_ones_are_answered(served: Served) -> None:
    client = served.client()
    good = ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000", "intake.school.example")
    for host in good:
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host
    bad = ("evil.example", "127.0.0.1.evil.example", "localhost.", "127.0.0.1:80:80", "[::2]", "")
    for host in bad:
        problem(client.get("/healthz", headers={"Host": host}), 421, "WRONG_HOST")


def test_every_answer_has_the_security_headers_and_none_opens_other_origins(
    served: Served,
) -> None:
    client = served.teacher()
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answers = [
        client.get("/healthz", headers=origin),
        client.get("/v1/batches", headers=origin),
        client.get("/v1/nothing", headers=origin),
        client.options("/v1/batches", headers=origin),
        served.client().get("/v1/batches", headers=origin),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not [it for it in answer.headers if it.startswith("access-control-")]
        assert "server" not in answer.headers


def test_unknown_addresses_and_methods_are_problems(served: Served) -> None:
    client = served.teacher()
    for path in ("/v1/nothing", "/v1/batches/", "/v1/batches/unknown", "/v1/batches/a%00b"):
        problem(client.get(path), 404, "NOT_FOUND")
    answer = client.delete("/v1/batches")
    problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]


def test_a_body_that_is_no_json_is_a_problem(served: Served) -> None:
    client = served.teacher()
    for body in (b"", b"{", b"\xff\xfe", b'{"course": "\\ud800"}', b"[" * 5_000):
        answer = client.post(
            "/v1/batches/register", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in (400, 422), body
        assert answer.headers["content-type"] == PROBLEM


def test_a_body_over_the_limit_is_refused_declared_or_not(served: Served) -> None:
    client = served.teacher()
    large = b'{"course": "' + b"x" * LIMITS.max_json_bytes + b'"}'
    kind = {"Content-Type": "application/json"}
    declared = client.post("/v1/batches/register", content=large, headers=kind)
    problem(declared, 413, "REQUEST_TOO_LARGE")
    pieces = (large[at : at + 1000] for at in range(0, len(large), 1000))
    undeclared = client.post("/v1/batches/register", content=pieces, headers=kind)
    problem(undeclared, 413, "REQUEST_TOO_LARGE")


def test_a_body_that_stops_coming_is_given_up(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, idle_seconds=0.2)) as served:
        token = served.token("slow")
        url = urlsplit(served.url)
        head = (
            "POST /v1/batches/register HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            "Content-Length: 100\r\n\r\n{"
        )
        with socket.create_connection((str(url.hostname), int(url.port or 0))) as slow:
            slow.settimeout(60)
            slow.sendall(head.encode())
            told = b"".join(iter(lambda: slow.recv(4096), b""))
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"REQUEST_TIMEOUT"' in told


class _SlowLoop(asyncio.SelectorEventLoop):
    """An event loop whose time goes on only while a body trickles."""

    now = 0.0

    def time(self) -> float:
        """Its time, seconds."""
        return self.now


def trickled(served: Served, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """The answer to a body that comes a byte every ten seconds."""

    async def trickle() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _SlowLoop)
        for at in range(len(body)):
            loop.now += 10
            await asyncio.sleep(0)
            yield body[at : at + 1]

    async def post() -> httpx.Response:
        transport = httpx.ASGITransport(served.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(path, content=trickle(), headers=headers)

    with asyncio.Runner(loop_factory=_SlowLoop) as runner:
        return runner.run(post())


def test_a_body_that_trickles_is_given_up_and_a_file_may_take_its_time(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, idle_seconds=25)) as served:
        client = served.teacher()
        register(client)
        token = {"Authorization": client.headers["Authorization"]}
        json, body = {"Content-Type": "application/json", **token}, b'{"batch_id": "class-b"}'
        problem(trickled(served, "/v1/batches/register", json, body), 408, "REQUEST_TIMEOUT")
        files = form(field("batch_id", "class-a"), file(b"a.txt", GOOD))
        assert trickled(served, URL, {**KIND, **token}, files).status_code == 201


def test_one_token_leaves_places_to_others(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_concurrent=3, max_streams=3)
    with serving(tmp_path, limits) as served:
        done = threading.Event()
        held = threading.Semaphore(0)

        def hold() -> None:
            held.release()
            done.wait(60)

        for path in ("/v1/held", "/v1/held/stream"):
            served.app.add_api_route(path, hold)
            greedy, other = served.teacher(f"greedy{path}"), served.teacher(f"other{path}")
            with ThreadPoolExecutor(2) as pool:
                answers = [pool.submit(greedy.get, path) for _ in range(2)]
                assert held.acquire(timeout=60)
                assert held.acquire(timeout=60)
                beyond = path.replace("held", "nothing")
                refused = greedy.get(beyond)
                problem(refused, 429, "TOO_MANY_REQUESTS")
                assert refused.headers["retry-after"] == "1"
                assert other.get(beyond).status_code == 404
                done.set()
                assert [it.result().status_code for it in answers] == [200, 200]
            done.clear()
            assert greedy.get(beyond).status_code == 404


def test_a_store_that_hangs_holds_few_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(tmp_path, replace(LIMITS, max_checks=2)) as served:
        client, done, held = served.teacher(), threading.Event(), threading.Semaphore(0)

        def hang(key: str, sha256: str) -> bytes:
            held.release()
            done.wait(60)
            raise OSError

        monkeypatch.setattr(served.shop.blobs, "get", hang)
        with ThreadPoolExecutor(2) as pool:
            answers = [pool.submit(client.get, "/readyz") for _ in range(2)]
            assert held.acquire(timeout=60)
            assert held.acquire(timeout=60)
            refused = client.get("/readyz")
            problem(refused, 429, "TOO_MANY_REQUESTS")
            assert refused.headers["retry-after"] == "1"
            assert client.get("/v1/batches").status_code == 200
            done.set()
            assert [it.result().status_code for it in answers] == [503, 503]


def test_when_too_much_is_pending_nothing_new_is_taken(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, max_pending=2, retry_seconds=7)) as served:
        client = served.teacher()
        served.shop.register(expected=3)
        for name in ("a.txt", "b.txt"):
            served.shop.receive(name)
        answer = client.post("/v1/batches/register", json={"batch_id": "class-b"})
        problem(answer, 429, "TOO_MUCH_PENDING")
        assert answer.headers["retry-after"] == "7"
        assert client.get("/v1/batches").status_code == 200


def test_more_requests_than_are_worked_on_at_once_are_asked_to_wait(tmp_path: Path) -> None:
    with serving(tmp_path, replace(LIMITS, max_concurrent=0)) as served:
        answer = served.teacher().get("/v1/batches")
        problem(answer, 429, "TOO_MANY_REQUESTS")
        assert answer.headers["retry-after"] == "1"
        assert served.client().get("/healthz").status_code == 200


def test_an_outage_of_the_ledger_is_a_503_everywhere_and_health_stays_apart(
    served: Served, tmp_path: Path
) -> None:
    client = served.teacher()
    served.shop.ledger.close()
    (tmp_path / "ledger.db").rename(tmp_path / "away.db")
    (tmp_path / "ledger.db").mkdir()
    for path in ("/readyz", "/v1/batches", "/v1/batches/class-a"):
        answer = client.get(path)
        problem(answer, 503, "UNAVAILABLE")
        assert answer.headers["retry-after"]
    assert client.get("/healthz").status_code == 200


def test_an_outage_of_the_store_is_told_by_readyz(served: Served) -> None:
    client = served.client()
    assert client.get("/readyz").status_code == 200
    served.shop.blobs.fail("get", "", 1)
    problem(client.get("/readyz"), 503, "UNAVAILABLE")
    assert client.get("/readyz").status_code == 200


def test_what_nobody_foresaw_is_a_500_without_details_and_in_the_log_without_text(
    served: Served,
) -> None:
    text = "the secret text of an essay"

    async def broken() -> None:
        raise ZeroDivisionError(text)

    served.app.add_api_route("/v1/broken", broken)
    with captured() as lines:
        answer = served.teacher().get("/v1/broken")
    found = problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
    (line,) = lines(level="error")
    assert line["corr_id"] == found["correlation_id"]
    assert (line["phase"], line["reason"]) == ("request", "ZeroDivisionError")
    assert line["trace"][-1].endswith(" broken")
    assert "secret" not in lines.text


def test_odd_requests_never_end_in_an_error_of_the_server(served: Served) -> None:
    client = served.operator()
    client.post("/v1/batches/register", json={"batch_id": "class-a"})
    chosen = random.Random(5)
    operations = [
        (method, path)
        for path, methods in served.app.openapi()["paths"].items()
        for method in methods
    ]
    for _ in range(400):
        method, path = chosen.choice(operations)
        for name in ("batch_id", "essay_id", "number", "form"):
            place = chosen.choice([*ODD_TEXTS, "class-a", "e001", "1", "json"])
            path = path.replace(f"{{{name}}}", quote(place, safe=""))
        names = chosen.sample(FIELDS, 3)
        body = {name: chosen.choice([*ODD_TEXTS, *ODD_VALUES]) for name in names}
        query = {name: chosen.choice(ODD_TEXTS) for name in chosen.sample(FIELDS, 1)}
        sent = chosen.choice([{"json": body}, {"data": body}, {"json": chosen.choice(ODD_VALUES)}])
        # Some answers are streams and have no end.
        with client.stream(method, path, params=query, **sent) as answer:
            assert answer.status_code < 500, (method, path, query, sent)
            assert answer.status_code < 400 or answer.headers["content-type"] == PROBLEM
