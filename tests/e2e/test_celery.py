"""The guarded extractor in a real Celery worker, whose daemonic children may have no children."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from huleedu_dagster.domain.outcomes import Code
from tests.support.sandboxes import sandbox_processes_under, wait_until

_ROOT = Path(__file__).parents[2]
_MARK = "HULEEDU_HOME"
_SECONDS = 120
# Broker and results are folders: there is no server and nothing to connect to.
_MODULE = """
import os
from pathlib import Path

from celery import Celery

from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from tests.factory import nasty

folder = os.path.dirname(__file__)
app = Celery("reading", broker="filesystem://", backend="file://" + folder + "/results")
app.conf.broker_transport_options = {
    "data_folder_in": folder + "/queue",
    "data_folder_out": folder + "/queue",
    "control_folder": folder + "/control",
}
app.conf.worker_enable_remote_control = False
app.conf.broker_connection_retry_on_startup = True

FILES = {
    "good": lambda: (b"A good text.", "txt"),
    "hangs": lambda: (nasty.nested_forms_pdf(), "pdf"),
    "crashes": lambda: (nasty.crashing_pdf(), "pdf"),
}
extractors = {
    seconds: SandboxedExtractor(sandbox=SandboxLimits(cpu_seconds=seconds, wall_seconds=900))
    for seconds in (1, 600)
}

@app.task(name="read")
def read(name, seconds):
    found = extractors[seconds].extract(*FILES[name]())
    return [found.text, found.code, found.transient]
"""


class Site:
    """A Celery worker on folders of its own."""

    def __init__(self, folder: Path) -> None:
        for name in ("results", "queue", "control"):
            (folder / name).mkdir()
        (folder / "reading.py").write_text(_MODULE, encoding="utf-8")
        self._mark = uuid.uuid4().hex
        self._app = Celery("asking", broker="filesystem://", backend=f"file://{folder}/results")
        self._app.conf.broker_transport_options = {
            "data_folder_in": f"{folder}/queue",
            "data_folder_out": f"{folder}/queue",
            "control_folder": f"{folder}/control",
        }
        paths = (str(folder), str(_ROOT), os.environ.get("PYTHONPATH", ""))
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self.log = folder / "worker.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "reading", "worker", "-c", "2", *quiet],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), _MARK: self._mark},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ask(self, name: str, cpu_seconds: int = 1) -> Any:
        """Have a file read; gives the promise of the result."""
        return self._app.send_task("read", args=[name, cpu_seconds])

    def sandboxes(self) -> frozenset[int]:
        """Fork servers and their workers, in all processes of the worker."""
        return sandbox_processes_under(_MARK, self._mark)

    def end(self) -> None:
        """Kill what is left and let go of the folders."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._app.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running worker."""
    found = Site(tmp_path)
    yield found
    found.end()


def test_good_hanging_and_crashing_files_come_out_right_and_sigterm_leaves_nothing(
    site: Site,
) -> None:
    asked = [site.ask(name) for name in ("good", "hangs", "crashes", "good", "good")]
    found = [it.get(timeout=_SECONDS) for it in asked]
    good = ["A good text.", None, False]
    assert found == [
        good,
        [None, Code.TIMEOUT, True],
        [None, Code.PARSER_CRASHED, True],
        good,
        good,
    ]
    assert site.sandboxes()
    site.process.send_signal(signal.SIGTERM)
    assert site.process.wait(_SECONDS) == 0
    wait_until(lambda: not site.sandboxes())


@pytest.mark.parametrize("kill", [os.kill, os.killpg], ids=["alone", "with its children"])
def test_a_worker_that_is_killed_at_work_leaves_no_sandbox(
    site: Site, kill: Callable[[int, int], None]
) -> None:
    site.ask("hangs", 600)
    assert site.ask("good", 600).get(timeout=_SECONDS) == ["A good text.", None, False]
    wait_until(lambda: len(site.sandboxes()) == 4, _SECONDS)
    kill(site.process.pid, signal.SIGKILL)
    site.process.wait()
    wait_until(lambda: not site.sandboxes())
