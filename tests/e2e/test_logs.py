"""One correlation id, from the HTTP request through sensor, run and stages to the events."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.site import Site, wait_for
from tests.e2e.test_intake import token

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = ("01-anna-lindqvist.docx", "03-cecilia-strand.txt")
BATCH = "class-9e"
CORR_ID = "5f0c1f3e-8d4b-4c1e-9a44-2f6f0d8f7a11"
STAGES = ("raw_upload", "extracted_plaintext", "validation_result", "spellcheck_result")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation that released what came under the id."""
    home = tmp_path_factory.mktemp("logs") / "home"
    site = Site(home, SAMPLES, {"HULEEDU_LOG_LEVEL": "debug"})
    try:
        site.serve()
        headers = {"Authorization": f"Bearer {token(home)}", "X-Correlation-ID": CORR_ID}
        url = f"http://127.0.0.1:{site.intake_port}"
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            asked = {"batch_id": BATCH, "expected_essay_count": len(NAMES)}
            assert client.post("/v1/batches/register", json=asked).status_code == 201
            files = [("files", (name, (SAMPLES / name).read_bytes())) for name in NAMES]
            answer = client.post("/v1/files/batch", data={"batch_id": BATCH}, files=files)
            assert answer.status_code == 201
        site.wait_until_ready(BATCH)
        wait_for(lambda: bool(told(site, phase="batch_release")), seconds=30, what="the last line")
        yield site
    finally:
        site.close()


def told(site: Site, **keys: str) -> list[dict[str, Any]]:
    """The lines of all processes that say this, in order of time."""
    logs = sorted((site.home / "logs").iterdir())
    lines = [json.loads(line) for it in logs for line in it.read_text().splitlines()]
    found = [it for it in lines if keys.items() <= it.items()]
    return sorted(found, key=lambda it: str(it["timestamp"]))


def huleedu(site: Site, *arguments: str) -> str:
    """What a command prints."""
    program = [sys.executable, "-m", "huleedu_dagster.cli.app"]
    done = subprocess.run(
        [*program, *arguments, "--home", str(site.home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_the_id_of_a_request_is_in_the_lines_of_all_that_followed_from_it(site: Site) -> None:
    found = told(site, corr_id=CORR_ID)
    phases = [it["phase"] for it in found]
    assert set(phases) == {
        *("request", "action", "sensor", "run", "essay"),
        *STAGES,
        *("batch_manifest", "batch_report", "batch_release"),
    }
    assert phases.index("request") < phases.index("sensor") < phases.index("essay")
    assert phases.index("essay") < phases.index("batch_manifest")
    requests = [(it["method"], it["route"], it["status"]) for it in told(site, phase="request")]
    assert requests[:2] == [
        ("POST", "/v1/batches/register", "201"),
        ("POST", "/v1/files/batch", "201"),
    ]
    assert {it["kind"] for it in told(site, phase="sensor")} == {"essays", "closing"}


def test_lines_of_stages_say_which_essay_in_which_run_and_how_long(site: Site) -> None:
    lines = [it for stage in STAGES for it in told(site, phase=stage)]
    assert {(it["essay_id"], it["phase"]) for it in lines} == {
        (slot, stage) for slot in ("e001", "e002") for stage in STAGES
    }
    (run_id,) = {it["run_id"] for it in lines}
    assert all(it["batch_id"] == BATCH and it["duration_ms"] >= 0 for it in lines)
    outcomes = {it["essay_id"]: (it["status"], it.get("code")) for it in told(site, phase="essay")}
    assert outcomes == {"e001": ("accepted", None), "e002": ("rejected", "EMPTY_CONTENT")}
    assert [it["run_id"] for it in told(site, phase="run")] == [run_id]
    assert site.pages.runs(huleedu__batch=BATCH, huleedu__kind="essays") == {"SUCCESS": 1}


def test_events_and_the_trace_of_the_id_agree_with_the_lines(site: Site) -> None:
    events = [json.loads(it) for it in huleedu(site, "events", "--json").splitlines() if it]
    assert {it["correlation_id"] for it in events} == {CORR_ID}
    steps = json.loads(huleedu(site, "trace", CORR_ID, "--json"))["steps"]
    for stage in STAGES:
        traced = {(it["essay_id"], it["duration_ms"]) for it in steps if it["what"] == stage}
        assert traced == {(it["essay_id"], it["duration_ms"]) for it in told(site, phase=stage)}
    assert [it["what"] for it in steps][-1] == "released"
    in_events = [it["detail"].split()[1] for it in steps if it["what"] == "event"]
    assert set(in_events) == {it["event_id"] for it in events}


def test_each_line_is_written_once(site: Site) -> None:
    lines = [json.dumps(it, sort_keys=True) for it in told(site)]
    assert len(lines) == len(set(lines))
    about = ("phase", "essay_id", "run_id")
    stages = [
        tuple(it[name] for name in about) for stage in STAGES for it in told(site, phase=stage)
    ]
    assert len(stages) == len(set(stages)) == len(STAGES) * len(NAMES)
