"""The OpenAPI description, and the program as it is started."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis

from huleedu_dagster.intake.problems import KINDS, ProblemCode
from tests.e2e.site import free_port
from tests.intake.forms import GOOD, hand_in
from tests.intake.served import Served, serving
from tests.support.waiting import wait_for

PLACE = "/v1/batches/class-9b"
ADDRESSES = {
    "batches": "/v1/batches",
    "batch": PLACE,
    "essay": f"{PLACE}/essays/e001",
    "uploads": f"{PLACE}/uploads",
    "report": f"{PLACE}/report.json",
    "dead_letters": "/v1/dead-letters",
    "healthz": "/healthz",
    "readyz": "/readyz",
}
HEADERS = {
    "X-Correlation-ID": "5f0c3b1e-8f1b-4f63-9c0e-2f9b6f6f7f11",
    "Location": PLACE,
    "Content-Disposition": "attachment",
}
METHODS = {"get", "put", "post", "delete", "patch"}


def described(served: Served) -> dict[str, Any]:
    """The description, as everyone gets it."""
    found: dict[str, Any] = served.client().get("/openapi.json").json()
    return found


def operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation."""
    for path, those in found["paths"].items():
        assert set(those) <= METHODS
        yield from ((method, path, it) for method, it in those.items())


def answers_of(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Status, media type and description of each answer of an operation that is no problem."""
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from ((status, kind, it) for kind, it in answer.get("content", {}).items())


def shape(value: Any) -> Any:
    """Names and kinds of what is in a value, of a list those of its first."""
    if isinstance(value, dict):
        return {name: shape(it) for name, it in value.items()}
    if isinstance(value, list):
        return [shape(it) for it in value[:1]]
    return "a number" if isinstance(value, int | float) and value is not True else type(value)


def test_every_code_of_a_problem_has_its_words() -> None:
    assert set(KINDS) == set(ProblemCode)


def test_the_description_is_whole_and_names_problems_and_tokens(served: Served) -> None:
    found = described(served)
    components = found["components"]
    there = {f"#/components/{kind}/{name}" for kind, those in components.items() for name in those}
    assert set(_references(found)) <= there
    schemas = components["schemas"]
    assert {"Problem", "RegisterRequest", "BatchView", "FilesTaken"} <= set(schemas)
    assert "HTTPValidationError" not in schemas
    told = "".join(it["description"] for it in components["responses"].values())
    assert all(f"`{code}`" in told for code in ProblemCode)
    for method, path, operation in operations(found):
        answers = operation["responses"]
        assert answers["422"] == {"$ref": "#/components/responses/Problem422"}, path
        assert ("401" in answers) == ("security" in operation) == path.startswith("/v1/"), path
        assert ("404" in answers) == ("{" in path or path.endswith("/files/batch")), path
        sent = {it["name"] for it in operation["parameters"] if it["in"] == "path"}
        assert sent == set(re.findall(r"{(\w+)}", path)), path
        if method == "post" and path in ("/v1/batches/register", "/v1/files/batch"):
            names = {it["name"] for it in operation["parameters"]}
            assert {"Idempotency-Key", "X-Correlation-ID"} <= names


def test_every_operation_says_what_it_does_and_shows_it(served: Served) -> None:
    found = described(served)
    schemas = found["components"]["schemas"]
    tags = {it["name"] for it in found["tags"] if it["description"]}
    names = [it["operationId"] for _, _, it in operations(found)]
    assert len(set(names)) == len(names)
    for _, path, operation in operations(found):
        assert operation["description"], path
        assert operation["summary"].endswith(tuple("abcdefghijklmnopqrstuvwxyz")), path
        assert set(operation["tags"]) <= tags, path
        assert all(it["description"] for it in operation["parameters"]), path
        for content in operation.get("requestBody", {}).get("content", {}).values():
            name = content["schema"].get("$ref", "").rpartition("/")[2]
            assert "example" in content or schemas[name]["examples"], path
        for _, kind, content in answers_of(operation):
            assert kind != "application/json" or "example" in content, f"{path}: intake/examples.py"


def test_examples_are_as_described_and_as_real_answers(served: Served) -> None:
    client, shop = served.operator(), served.shop
    found = described(served)
    registration = found["components"]["schemas"]["RegisterRequest"]["examples"][0]
    asked = {**registration, "batch_id": "class-9b", "expected_essay_count": 2, "min_words": 5}
    real = {("register", "201"): client.post("/v1/batches/register", json=asked).json()}
    for status, name in (("201", "Nils Holm/essay.txt"), ("207", "../essay.txt")):
        files = {"Ida Berg/essay.txt": GOOD, name: b""}
        real["files", status] = hand_in(client, files, batch="class-9b").json()
    shop.register()
    shop.receive("lost.txt")
    shop.fail_until_dead()
    shop.process_pending()
    shop.release("class-9b")
    real |= {(name, "200"): client.get(address).json() for name, address in ADDRESSES.items()}
    real["replay", "200"] = client.post("/v1/dead-letters/1/replay").json()
    real["reprocess", "202"] = client.post(f"{PLACE}/essays/e001/reprocess").json()

    schema = schemathesis.openapi.from_dict(found)
    for method, path, operation in operations(found):
        for status, kind, content in answers_of(operation):
            if kind != "application/json":
                continue
            request = httpx.Request(method, served.url)
            example = content["example"]
            answer = httpx.Response(int(status), json=example, request=request, headers=HEADERS)
            answer.elapsed = timedelta()
            schema[path][method.upper()].validate_response(answer)
            as_answered = real.get((operation["operationId"], status), real["batch", "200"])
            if operation["operationId"] == "reprocess":
                as_answered = real["batch", "200"]["essays"][0]
            assert shape(example) == shape(as_answered), (path, status)


def test_the_description_tells_the_limits_of_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HULEEDU_MAX_SLOTS", "12")
    with serving(tmp_path) as served:
        asked = described(served)["components"]["schemas"]["RegisterRequest"]["properties"]
    assert asked["expected_essay_count"]["anyOf"][0]["maximum"] == 12
    assert asked["language"]["anyOf"][0]["enum"] == ["en", "sv"]


def test_the_program_serves_on_loopback_and_ends_when_asked(tmp_path: Path) -> None:
    port = free_port()
    left_over = tmp_path / "spool" / "request"
    left_over.mkdir(parents=True)
    os.utime(left_over, (0, 0))
    command = [sys.executable, "-m", "huleedu_dagster.intake", "--port", str(port)]
    environment = {**os.environ, "HULEEDU_HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        answer = _first_answer(f"http://127.0.0.1:{port}/readyz")
        assert answer.json() == {"status": "ok"}
        wait_for(lambda: not left_over.exists(), 60)
    finally:
        process.terminate()
        _, told = process.communicate(timeout=60)
    assert "Traceback" not in told
    assert (tmp_path / "ledger.db").exists()


def _first_answer(url: str) -> httpx.Response:
    until = time.monotonic() + 60
    while True:
        try:
            return httpx.get(url, trust_env=False, timeout=60)
        except httpx.TransportError:
            if time.monotonic() > until:
                pytest.fail("the intake does not answer")
            time.sleep(0.05)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for it in value:
            yield from _references(it)
