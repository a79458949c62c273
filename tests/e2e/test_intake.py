"""A class handed in over HTTP to a running `huleedu up`, processed by its sensors and runs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from huleedu_dagster.domain.completeness import BatchStatus
from tests.e2e.site import Site

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = ("01-anna-lindqvist.docx", "03-cecilia-strand.txt", "04-david-nystrom.pdf")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path / "home", SAMPLES)
    try:
        site.serve()
        yield site
    finally:
        site.close()


def token(home: Path) -> str:
    """A token that may do all a teacher's program does."""
    command = [sys.executable, "-m", "huleedu_dagster.cli.app", "tokens", "create", "--name", "p"]
    scopes = [it for scope in ("register", "upload", "read") for it in ("--scope", scope)]
    done = subprocess.run(
        [*command, *scopes, "--home", str(home)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_class_that_came_over_http_is_released(site: Site) -> None:
    headers = {"Authorization": f"Bearer {token(site.home)}"}
    url = f"http://127.0.0.1:{site.intake_port}"
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
        assert client.get("/readyz").status_code == 200
        asked = {"batch_id": "class-9e", "expected_essay_count": len(NAMES)}
        registered = client.post("/v1/batches/register", json=asked)
        assert registered.status_code == 201
        files = [("files", (name, (SAMPLES / name).read_bytes())) for name in NAMES]
        form = {"batch_id": "class-9e"}
        keyed = {"Idempotency-Key": "once"}
        answer = client.post("/v1/files/batch", data=form, files=files, headers=keyed)
        again = client.post("/v1/files/batch", data=form, files=files, headers=keyed)
        assert answer.status_code == 201
        assert again.json() == answer.json()
        site.wait_until_ready("class-9e")
        found = client.get("/v1/batches/class-9e").json()
        essay = client.get("/v1/batches/class-9e/essays/e001").json()
    assert (found["status"], found["ready"], found["rejected"]) == (BatchStatus.READY, 2, 1)
    assert essay["corrections"]
    assert "text" in essay
