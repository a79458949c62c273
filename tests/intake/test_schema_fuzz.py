"""Requests made from the description itself: never a 5xx, and every answer is as described.

schemathesis sends what the description allows, what it forbids and what lies on the edge, over a
real socket, by a token that may do everything, to batches, essays and dead letters that exist.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from huleedu_dagster.intake.idempotency import KEY_HEADER
from tests.intake.served import EVERY_SCOPE, LIMITS, Served, serving
from tests.support.workshop import GOOD

REQUESTS = 1_000
ROOMY = replace(LIMITS, max_pending=100_000, max_json_bytes=5_000_000)
CHECKED = {
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "negative_data_rejection",
    "ignored_auth",
    "unsupported_method",
    "allow_header_conformance",
}
"""What has to have been checked."""

UNSAID = {
    ("POST /v1/batches/register", "body"),
    ("POST /v1/batches/register", "body.variety"),
    ("POST /v1/files/batch", "body.batch_id"),
}
"""What a schema cannot say: that one value fits another, and the order of a form's fields."""


@dataclass
class Seen:
    """What was sent, answered and found wrong."""

    requests: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def add(self, recorder: ScenarioRecorder) -> None:
        """Add what one scenario recorded."""
        for case_id, found in recorder.interactions.items():
            self.requests += 1
            label = recorder.cases[case_id].value.operation.label
            self.answers[label, 0 if found.response is None else found.response.status_code] += 1
        for checks in recorder.checks.values():
            for check in checks:
                self.checks[check.name] += 1
                if check.failure_info is not None:
                    sample = check.failure_info.code_sample
                    self.wrong.append(f"{check.failure_info.failure}\n{sample[:2_000]}")


@pytest.fixture
def furnished(tmp_path: Path) -> Iterator[Served]:
    """An intake with a released batch, one that is open, and a dead letter."""
    with serving(tmp_path, ROOMY) as served:
        shop = served.shop
        shop.register("class-b", expected=2)
        shop.receive("a.txt", batch_id="class-b")
        shop.receive("b.txt", GOOD + b" More.", batch_id="class-b")
        shop.process_pending()
        shop.release("class-b")
        shop.register("class-a", expected=9)
        shop.receive("lost.txt")
        shop.fail_until_dead()
        yield served


def config_of(token: str) -> SchemathesisConfig:
    """How requests are made: always the same, and mostly of things that are there."""
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "headers": {"Authorization": f"Bearer {token}"},
            "continue-on-failure": True,
            "request-timeout": 60,
            # The stream of an open batch is endless; its first event is looked at.
            "max-stream-events": 1,
            "dictionaries": {
                "batches": {"values": ["class-a", "class-b"]},
                "slots": {"values": ["e001", "e002"]},
                "letters": {"values": [1]},
            },
            "parameters": {
                "path.batch_id": {"dictionary": "batches", "probability": 0.9},
                "path.essay_id": {"dictionary": "slots", "probability": 0.9},
                "path.number": {"dictionary": "letters", "probability": 0.5},
                "body.batch_id": {"dictionary": "batches", "probability": 0.5},
            },
            "generation": {
                "max-examples": 20,
                "deterministic": True,
                "database": "none",
                "no-shrink": True,
            },
            "phases": {"stateful": {"max-steps": 5, "generation": {"max-examples": 5}}},
        }
    )


def prepared(schema: Any) -> Any:
    """The schema, told what it cannot know."""
    numbers = count()

    def map_case(context: Any, case: Any) -> Any:
        # A key belongs to one request; the same for all would have them all refused but the first.
        key = (case.headers or {}).get(KEY_HEADER)
        if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
            case.headers[KEY_HEADER] = f"{key}-{next(numbers)}"
        return case

    def filter_failure(context: Any, failure: Failure, case: Any, response: Response) -> bool:
        if "positive_data_acceptance" not in failure.checks or response.status_code != 422:
            return True
        if None in (case.path_parameters or {}).values():
            # A link that was followed from a file without a place: not what the description allows.
            return False
        errors = response.json().get("errors", [])
        places = {(case.operation.label, it["where"]) for it in errors}
        return not places or not places <= UNSAID

    schema.hook(map_case)
    schema.hook(filter_failure)
    return schema


@pytest.mark.slow
def test_a_thousand_requests_made_from_the_description_are_answered_as_it_says(
    furnished: Served,
) -> None:
    config = config_of(furnished.token("fuzz", *EVERY_SCOPE))
    schema = schemathesis.openapi.from_url(f"{furnished.url}/openapi.json", config=config)
    schema.validate()
    seen = Seen()
    for event in from_schema(prepared(schema)).execute():
        if isinstance(event, events.ScenarioFinished):
            seen.add(event.recorder)
        assert not isinstance(event, events.NonFatalError), event.value
        assert not isinstance(event, events.FatalError), event.exception

    assert not seen.wrong, "\n\n".join(seen.wrong[:10])
    assert seen.requests >= REQUESTS
    assert {it for it, number in seen.checks.items() if number > 100} >= CHECKED
    statuses = {status for _, status in seen.answers}
    assert max(statuses) < 500 <= 500 + min(statuses)
    assert statuses >= {200, 201, 202, 401, 404, 405, 409, 422}
    # Not only refused: each operation did what it is for.
    described = furnished.app.openapi()["paths"].items()
    operations = {f"{method.upper()} {path}" for path, those in described for method in those}
    assert {label for label, status in seen.answers if status < 300} == operations


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_words", False),
        ("max_words", "500"),
        ("expected_essay_count", True),
        ("expected_essay_count", 3.5),
        ("timeout_seconds", "60"),
        ("timeout_seconds", True),
        ("deadline", 0),
        ("deadline", "1700000000"),
        ("deadline", "2026-12-01"),
        ("deadline", "2026-12-01T23:59:00"),
        ("course", "a\x00b"),
        ("word_list", ["a\x1bb"]),
        ("variety", "en-gb"),
        ("language", "tlh"),
    ],
)
def test_a_value_of_another_kind_is_refused_and_not_taken_for_what_it_may_be(
    served: Served, name: str, value: object
) -> None:
    answer = served.teacher().post("/v1/batches/register", json={name: value})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["where"].split(".")[1] == name
    assert re.fullmatch(r"[A-Z].*\.", error["message"])
    assert "Value error" not in error["message"]
    assert served.teacher("other").get("/v1/batches").json() == []
