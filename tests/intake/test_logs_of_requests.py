"""Lines about requests: routes and ids, never what an address or a body says."""

import logging
import uuid

from tests.intake.forms import GOOD, hand_in, register
from tests.intake.served import Served
from tests.support.lines import captured

ROUTES = "huleedu_dagster.intake.requests"


def test_a_line_has_the_id_the_route_the_status_and_what_was_found(served: Served) -> None:
    teacher, corr_id = served.teacher(), str(uuid.uuid4())
    with captured(logging.INFO) as lines:
        register(teacher, expected=1)
        hand_in(teacher, {"Ida Lind.txt": GOOD}, {"X-Correlation-ID": corr_id})
        teacher.get("/v1/batches/class-a/essays/e001", headers={"X-Correlation-ID": corr_id})
        teacher.get("/v1/batches/Ida-Lind/essays/e001?name=Lind")
        teacher.get("/Lind")
    requests = lines.of(ROUTES)
    assert [(it["method"], it["route"], it["status"]) for it in requests] == [
        ("POST", "/v1/batches/register", "201"),
        ("POST", "/v1/files/batch", "201"),
        ("GET", "/v1/batches/{batch_id}/essays/{essay_id}", "200"),
        ("GET", "/v1/batches/{batch_id}/essays/{essay_id}", "404"),
        ("GET", "none", "404"),
    ]
    assert [it["corr_id"] for it in requests[1:3]] == [corr_id] * 2
    assert (requests[2]["batch_id"], requests[2]["essay_id"]) == ("class-a", "e001")
    # What is not there may be anybody's name.
    assert "batch_id" not in requests[3]
    assert all(it["phase"] == "request" and it["duration_ms"] >= 0 for it in requests)
    assert "lind" not in lines.text.lower()


def test_what_was_done_is_a_line_with_the_id_of_its_request(served: Served) -> None:
    teacher, corr_id = served.teacher(), str(uuid.uuid4())
    register(teacher, expected=2)
    with captured(logging.INFO) as lines:
        hand_in(teacher, {"a.txt": GOOD}, {"X-Correlation-ID": corr_id})
    (line,) = lines(phase="action")
    assert line["corr_id"] == corr_id
    assert (line["batch_id"], line["status"], line["by"]) == ("class-a", "received", "token")
    assert teacher.headers["Authorization"].removeprefix("Bearer ") not in lines.text


def test_checks_that_programs_make_all_day_are_lines_for_who_asks(served: Served) -> None:
    with captured(logging.INFO) as told:
        served.client().get("/healthz")
        served.client().get("/readyz")
    with captured(logging.DEBUG) as all_told:
        served.client().get("/healthz")
    assert told.of(ROUTES) == []
    assert [it["route"] for it in all_told.of(ROUTES)] == ["/healthz"]
