"""The OpenAPI description, and the program as it is started."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from huleedu_dagster.intake.problems import KINDS, ProblemCode
from tests.e2e.site import free_port
from tests.intake.served import Served


def test_every_code_of_a_problem_has_its_words() -> None:
    assert set(KINDS) == set(ProblemCode)


def test_the_description_is_whole_and_names_problems_and_tokens(served: Served) -> None:
    found = served.client().get("/openapi.json").json()
    schemas = found["components"]["schemas"]
    used = set(_references(found))
    assert used <= {f"#/components/schemas/{name}" for name in schemas}
    assert {"Problem", "RegisterRequest", "BatchView", "FilesTaken"} <= set(schemas)
    assert schemas["RegisterRequest"]["examples"]
    assert "HTTPValidationError" not in schemas
    for path, operations in found["paths"].items():
        for method, operation in operations.items():
            problem = operation["responses"]["422"]["content"]
            assert list(problem) == ["application/problem+json"], path
            assert operation["summary"], path
            assert ("security" in operation) == path.startswith("/v1/"), path
            sent = {it["name"] for it in operation["parameters"] if it["in"] == "path"}
            assert sent == set(re.findall(r"{(\w+)}", path)), path
            if method == "post" and path in ("/v1/batches/register", "/v1/files/batch"):
                names = {it["name"] for it in operation["parameters"]}
                assert {"Idempotency-Key", "X-Correlation-ID"} <= names


def test_the_program_serves_on_loopback_and_ends_when_asked(tmp_path: Path) -> None:
    port = free_port()
    left_over = tmp_path / "spool" / "request"
    left_over.mkdir(parents=True)
    command = [sys.executable, "-m", "huleedu_dagster.intake", "--port", str(port)]
    environment = {**os.environ, "HULEEDU_HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        answer = _first_answer(f"http://127.0.0.1:{port}/readyz")
        assert answer.json() == {"status": "ok"}
    finally:
        process.terminate()
        _, told = process.communicate(timeout=15)
    assert "Traceback" not in told
    assert (tmp_path / "ledger.db").exists()
    assert not left_over.exists()


def _first_answer(url: str) -> httpx.Response:
    until = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url, trust_env=False)
        except httpx.ConnectError:
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
