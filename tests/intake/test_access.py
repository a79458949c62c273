"""Who gets in: every route is closed to wrong, missing, foreign and revoked tokens."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.intake.csrf import SAFE_METHODS
from huleedu_dagster.intake.door import OPEN_PATHS
from huleedu_dagster.reports.batch import write_batch_report
from tests.intake.browsers import browser
from tests.intake.served import EVERY_SCOPE, Served

PLACES = {
    "batch_id": "class-a",
    "essay_id": "e001",
    "upload_id": "upload-1",
    "form": "json",
    "number": "1",
}
OF_A_BATCH = {"batch_id", "essay_id", "upload_id", "form"}


def routes(served: Served) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Method, path and names in the path of every route that the application answers."""
    for path, operations in served.app.openapi()["paths"].items():
        names = frozenset(re.findall(r"{(\w+)}", path))
        for method in operations:
            yield method.upper(), path.format(**PLACES), names


def every_route(app: FastAPI) -> list[BaseRoute]:
    """Every route there is, described or not."""
    routers = [getattr(it, "original_router", None) for it in app.routes]
    inner = [route for router in routers if router is not None for route in router.routes]
    return [it for it, router in zip(app.routes, routers, strict=True) if router is None] + inner


def undescribed(served: Served) -> Iterator[tuple[str, str]]:
    """Method and path of every route that is not in the description: those of pages."""
    described = {
        (method.upper(), path)
        for path, operations in served.app.openapi()["paths"].items()
        for method in operations
    }
    for route in every_route(served.app):
        assert isinstance(route, Route), route
        for method in route.methods or ():
            if (method, route.path) not in described:
                yield method, re.sub("{.*?}", "x", route.path)


def refused(answer: httpx.Response, status: int, code: str) -> None:
    """Check that an answer is this problem."""
    assert answer.status_code == status, (answer.request.url, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == code


def a_batch(client: httpx.Client, name: str = "class-a") -> None:
    """Register a batch that holds one essay."""
    asked = {"batch_id": name, "expected_essay_count": 2}
    assert client.post("/v1/batches/register", json=asked).status_code == 201


def body_of(path: str) -> dict[str, Any]:
    """Arguments of a request whose body would be accepted, were the request allowed."""
    if path.endswith("/waive"):
        return {"json": {"reason": "ill"}}
    if path.endswith("/register"):
        return {"json": {}}
    if path.endswith("/files/batch"):
        return {"data": {"batch_id": "class-a"}, "files": {"files": ("a.txt", b"A text.")}}
    return {}


def test_no_route_but_those_of_pages_is_left_out_of_the_description(served: Served) -> None:
    described = {path for _, path, _ in routes(served)}
    assert OPEN_PATHS - {"/openapi.json"} < described
    assert all(path.startswith("/v1/") for path in described - OPEN_PATHS)
    pages = {path for _, path in undescribed(served)}
    assert {"/openapi.json", "/sign-in", "/sign-out"} <= pages
    assert not [it for it in pages if it.startswith("/v1")]


def test_pages_are_closed_but_for_the_sign_in_and_what_it_is_drawn_with(served: Served) -> None:
    client = served.client()
    opened = set()
    for method, path in undescribed(served):
        for headers in ({}, {"Accept": "text/html"}, {"Authorization": f"Bearer {new_token()}"}):
            answer = client.request(method, path, headers=headers)
            if answer.status_code not in (303, 401):
                opened.add((method, path))
            elif answer.status_code == 303:
                assert answer.headers["location"].startswith("/sign-in?next=")
    signing = {("GET", "/sign-in"), ("HEAD", "/sign-in"), ("POST", "/sign-in")}
    assert {it for it in opened if it not in signing} <= {
        (method, path)
        for method in ("GET", "HEAD")
        for path in ("/openapi.json", "/static/x", "/favicon.ico")
    }


def test_no_route_takes_a_change_from_a_browser_without_the_secret_of_its_session(
    served: Served,
) -> None:
    client = browser(served, served.token("all", *EVERY_SCOPE))
    wrong = {"csrf_token": "wrong"}
    asked = [(method, path) for method, path, _ in routes(served)]
    asked += [it for it in undescribed(served) if it[1] not in ("/sign-in", "/openapi.json")]
    unsafe = {path for method, path in asked if method not in SAFE_METHODS}
    assert len(unsafe) >= 6
    # Methods that no route takes are refused before anybody finds that out.
    for path in {path for _, path in asked} - OPEN_PATHS:
        for method in ("POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE"):
            for sent in (body_of(path), {"headers": {"X-CSRF-Token": "x"}}, {"data": wrong}):
                refused(client.request(method, path, **sent), 403, "CSRF_FAILED")


def test_wrong_missing_and_revoked_tokens_are_refused_on_every_route(served: Served) -> None:
    a_batch(served.teacher())
    revoked = served.token("revoked", *EVERY_SCOPE)
    with served.shop.ledger.write() as tx:
        found = tx.tokens.find_by_hash(hash_token(revoked))
        assert found is not None
        tx.tokens.revoke(found.token_id)
    good = served.token("good", *EVERY_SCOPE)
    attempts = [
        [],
        [("Authorization", "")],
        [("Authorization", "Bearer")],
        [("Authorization", f"Bearer {new_token()}")],
        [("Authorization", f"Bearer {revoked}")],
        [("Authorization", f"Bearer {good}x")],
        [("Authorization", f"Basic {good}")],
        [("Authorization", good)],
        [("Authorization", f"Bearer {hash_token(good)}")],
        [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {good}")],
    ]
    client = served.client()
    closed = [it for it in routes(served) if it[1] not in OPEN_PATHS]
    assert len(closed) >= 12
    for method, path, _ in closed:
        for headers in attempts:
            answer = client.request(method, path, headers=headers, **body_of(path))
            refused(answer, 401, "NOT_AUTHENTICATED")
            assert answer.headers["www-authenticate"].startswith("Bearer")
    for path in ("/v1/nothing", "/", "/docs", "/redoc", "/v1/batches/"):
        refused(client.get(path), 401, "NOT_AUTHENTICATED")


def test_a_batch_of_another_does_not_exist(served: Served) -> None:
    owner = served.teacher("owner")
    a_batch(owner)
    shop = served.shop
    upload_id = shop.receive("essay.txt").upload_id
    shop.process()
    write_batch_report(shop.ledger, shop.blobs, "class-a")
    foreign = served.teacher("stranger")
    looked_at = 0
    for method, asked, names in routes(served):
        path = asked.replace(PLACES["upload_id"], upload_id)
        if names & OF_A_BATCH and not path.endswith(("/waive", "/reopen")):
            refused(foreign.request(method, path), 404, "NOT_FOUND")
            if method == "GET":
                # What is refused is there; some of it never ends.
                with owner.stream(method, path) as answer:
                    assert answer.status_code == 200, path
            looked_at += 1
    assert looked_at >= 6
    assert served.shop.facts().batch.closed_at is None
    assert foreign.get("/v1/batches").json() == []


def test_an_operator_sees_the_batches_of_all(served: Served) -> None:
    a_batch(served.teacher("one"))
    served.shop.register("class-b")
    operator = served.operator()
    assert {it["batch_id"] for it in operator.get("/v1/batches").json()} == {"class-a", "class-b"}
    assert operator.get("/v1/batches/class-a").status_code == 200
    assert served.teacher("other").get("/v1/batches/class-b").status_code == 404


@pytest.mark.parametrize("scope", EVERY_SCOPE)
def test_a_token_does_what_its_scopes_say_and_nothing_else(served: Served, scope: Scope) -> None:
    client = served.client(served.token("narrow", scope))
    needed = {
        ("POST", "/v1/batches/register"): {Scope.REGISTER},
        ("POST", "/v1/files/batch"): {Scope.UPLOAD},
        ("POST", "/v1/batches/class-a/close"): {Scope.REGISTER, Scope.OPERATE},
        ("POST", "/v1/batches/class-a/reopen"): {Scope.OPERATE},
        ("POST", "/v1/batches/class-a/essays/e001/waive"): {Scope.OPERATE},
        ("POST", "/v1/batches/class-a/essays/e001/reprocess"): {Scope.REGISTER, Scope.OPERATE},
        ("GET", "/v1/dead-letters"): {Scope.OPERATE},
        ("POST", "/v1/dead-letters/1/replay"): {Scope.OPERATE},
    }
    for method, path, _ in routes(served):
        if path in OPEN_PATHS:
            continue
        answer = client.request(method, path, **body_of(path))
        if scope in needed.get((method, path), {Scope.READ}):
            assert answer.status_code in (200, 201, 404, 409), (path, answer.text)
        else:
            refused(answer, 403, "NOT_ALLOWED")
            assert "insufficient_scope" in answer.headers["www-authenticate"]


def test_the_open_addresses_need_no_token_and_tell_no_names(served: Served) -> None:
    a_batch(served.teacher())
    client = served.client()
    for path in OPEN_PATHS:
        answer = client.get(path)
        assert answer.status_code == 200, path
        if path != "/openapi.json":
            assert answer.json() == {"status": "ok"}


def test_the_use_of_a_token_is_noted(served: Served) -> None:
    token = served.token("seen")
    served.client(token).get("/v1/batches")
    with served.shop.ledger.read() as tx:
        found = tx.tokens.find_by_hash(hash_token(token))
    assert found is not None
    assert found.last_used_at == served.shop.clock()
