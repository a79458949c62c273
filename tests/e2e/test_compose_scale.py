"""compose.scale.yml as processes: a worker behind a broker executes the runs."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.compose_files import MAIN, ROOT, SCALE
from tests.e2e.compose_processes import ComposeProcesses
from tests.e2e.graphql import Pages

pytestmark = pytest.mark.slow

SMOKE = ROOT / "scripts" / "smoke.py"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProcesses]:
    more = {"HULEEDU_SPELLING_CACHE": os.environ["HULEEDU_SPELLING_CACHE"]}
    found = ComposeProcesses(tmp_path_factory.mktemp("compose"), (MAIN, SCALE), more=more)
    try:
        found.start()
        yield found
    finally:
        found.close()


def test_a_class_goes_through_the_worker(started: ComposeProcesses) -> None:
    pages = Pages(started.url("web-server", 3000))
    smoke = [sys.executable, "-I", str(SMOKE), "--huleedu", "huleedu"]
    done = started.run_in("intake", *smoke, "--intake", started.url("intake", 8000))
    logs = "\n".join(f"{name}: {it.said}" for name, it in started.services.items())
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{logs}"
    assert set(pages.runs()) <= {"SUCCESS", "STARTED"}

    # Without its worker nothing is done, and its health check tells.
    worker = started.services["worker"]
    worker.await_health()
    worker.kill()
    assert not worker.is_healthy()
    waits = started.run_in(
        "intake", *smoke, "--intake", started.url("intake", 8000), "--seconds", "10"
    )
    assert waits.returncode == 1
    assert "the release; it is" in waits.stderr
