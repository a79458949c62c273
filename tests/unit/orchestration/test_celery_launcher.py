"""What the launcher answers about runs, with a real broker and an instance of Dagster's own."""

import base64
import inspect
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import LaunchRunContext, ResumeRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.test_utils import create_run_for_test
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from redis import Redis

from huleedu_dagster.orchestration.celery_app import worker_app
from huleedu_dagster.orchestration.celery_launcher import (
    RESUMED_AT_TAG,
    CrashSafeCeleryRunLauncher,
)
from huleedu_dagster.orchestration.celery_signs import BrokerAwayError, Doing, Signs
from tests.support.valkey import valkey
from tests.support.valkey_server import Valkey

_SILENT_SECONDS = 2
_ORIGIN = JobPythonOrigin(
    "job", RepositoryPythonOrigin(sys.executable, ModuleCodePointer("some.module", "defs"))
)
_STARTED = DagsterRunStatus.STARTED
_STARTING = DagsterRunStatus.STARTING


class Launching:
    """A launcher, its instance and its broker."""

    def __init__(self, broker: Valkey, instance: DagsterInstance) -> None:
        self.broker = broker
        self.instance = instance
        self.launcher = CrashSafeCeleryRunLauncher(silent_seconds=_SILENT_SECONDS)
        self.launcher.register_instance(instance)
        self.signs = Signs(broker.url)

    def run(self, status: DagsterRunStatus, task_id: str | None = None) -> DagsterRun:
        """A run, with the task that it was handed over as."""
        run = create_run_for_test(self.instance, status=status, job_code_origin=_ORIGIN)
        tags = {DAGSTER_CELERY_TASK_ID_TAG: task_id or run.run_id}
        self.instance.add_run_tags(run.run_id, tags)
        return self.now(run)

    def now(self, run: DagsterRun) -> DagsterRun:
        """A run as it is now."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def health(self, run: DagsterRun) -> WorkerStatus:
        """What the launcher says of a run."""
        return self.launcher.check_run_worker_health(run).status

    def handed_over(self) -> list[dict[str, Any]]:
        """What waits in the broker for a worker, the latest first."""
        with Redis.from_url(self.broker.url) as client:
            return [json.loads(it) for it in client.lrange("dagster", 0, -1)]

    def close(self) -> None:
        """Let go of the broker."""
        self.signs.close()
        self.launcher.dispose()


@contextmanager
def sign_after(launching: Launching, task_id: str, *, seconds: float) -> Iterator[None]:
    """Have a process give a sign in a moment."""
    timer = threading.Timer(seconds, launching.signs.give, (task_id, Doing.WORKING))
    timer.start()
    yield
    timer.join()


@pytest.fixture
def launching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Launching]:
    """A launcher on a broker of the test's own."""
    broker = valkey(tmp_path / "broker", "secret")
    broker.start()
    monkeypatch.setenv("HULEEDU_BROKER_URL", broker.url)
    with DagsterInstance.ephemeral() as instance:
        found = Launching(broker, instance)
        yield found
        found.close()
    broker.kill()


def test_a_run_whose_process_gives_signs_is_running(launching: Launching) -> None:
    run = launching.run(_STARTED)
    launching.signs.give(run.run_id, Doing.WORKING)
    assert launching.health(run) is WorkerStatus.RUNNING


def test_a_run_whose_process_has_fallen_silent_has_failed(launching: Launching) -> None:
    run = launching.run(_STARTED)
    launching.signs.give(run.run_id, Doing.WORKING)
    assert launching.health(run) is WorkerStatus.RUNNING
    assert launching.launcher.check_run_worker_health(run).run_worker_id == run.run_id
    while launching.health(run) is WorkerStatus.RUNNING:
        pass
    assert launching.health(run) is WorkerStatus.FAILED


def test_a_run_whose_task_has_ended_without_it_has_failed(launching: Launching) -> None:
    run = launching.run(_STARTED)
    launching.signs.give(run.run_id, Doing.ENDED)
    assert launching.health(run) is WorkerStatus.FAILED


def test_a_started_run_of_which_the_broker_knows_nothing_has_failed(launching: Launching) -> None:
    assert launching.health(launching.run(_STARTED)) is WorkerStatus.FAILED


def test_a_resumed_run_that_no_worker_has_begun_waits(launching: Launching) -> None:
    run = launching.run(_STARTED, "run-resumed-1")
    assert launching.health(run) is WorkerStatus.RUNNING
    launching.signs.give("run-resumed-1", Doing.ENDED)
    assert launching.health(run) is WorkerStatus.FAILED


def test_a_resumed_run_that_no_worker_ever_begins_has_failed(launching: Launching) -> None:
    run = launching.run(_STARTED, "run-resumed-1")
    for waited, health in ((890, WorkerStatus.RUNNING), (910, WorkerStatus.FAILED)):
        tags = {RESUMED_AT_TAG: str(time.time() - waited)}
        launching.instance.add_run_tags(run.run_id, tags)
        assert launching.health(launching.now(run)) is health
    launching.signs.give("run-resumed-1", Doing.WORKING)
    assert launching.health(launching.now(run)) is WorkerStatus.RUNNING


def test_a_run_that_the_broker_does_not_take_once_more_is_not_taken_for_waiting(
    launching: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = launching.run(_STARTED)
    context = ResumeRunContext(run, workspace=None, resume_attempt_number=1)
    with monkeypatch.context() as patch:
        # Away as soon as the process that fell silent was told to end.
        patch.setattr(launching.launcher, "_signal", lambda *_: launching.broker.kill())
        with pytest.raises(BrokerAwayError):
            launching.launcher.resume_run(context)
    launching.broker.start()
    assert launching.handed_over() == []
    assert launching.health(launching.now(run)) is WorkerStatus.FAILED

    launching.launcher.resume_run(context)
    assert launching.health(launching.now(run)) is WorkerStatus.RUNNING
    assert len(launching.handed_over()) == 1


def test_a_broker_that_is_away_is_an_error_and_no_verdict_on_a_run(launching: Launching) -> None:
    run = launching.run(_STARTED)
    launching.broker.kill()
    with pytest.raises(BrokerAwayError):
        launching.health(run)
    with pytest.raises(BrokerAwayError):
        launching.launcher.terminate(run.run_id)
    # Nothing was half done.
    assert launching.now(run).status is _STARTED
    debug = launching.launcher.get_run_worker_debug_info(run)
    assert debug is not None
    assert "does not answer" in debug


def test_a_broker_that_comes_back_empty_kills_no_run_that_is_under_way(
    launching: Launching,
) -> None:
    run = launching.run(_STARTED)
    launching.broker.forget()
    launching.broker.start()
    # The next sign comes while the launcher asks again.
    with sign_after(launching, run.run_id, seconds=0.5):
        assert launching.health(run) is WorkerStatus.RUNNING


def test_terminating_a_run_that_nobody_executes_cancels_it(launching: Launching) -> None:
    waiting, lost = launching.run(_STARTING), launching.run(_STARTED)
    for run in (waiting, lost):
        assert launching.launcher.terminate(run.run_id)
        assert launching.now(run).status is DagsterRunStatus.CANCELED
        assert not launching.launcher.terminate(run.run_id)
    assert not launching.launcher.terminate("no-such-run")


def test_terminating_a_run_leaves_its_end_to_its_process(launching: Launching) -> None:
    run = launching.run(_STARTED)
    launching.signs.give(run.run_id, Doing.WORKING)
    assert launching.launcher.terminate(run.run_id)
    assert launching.now(run).status is DagsterRunStatus.CANCELING


def test_what_is_handed_over_is_what_a_workers_tasks_take_and_names_no_instance(
    launching: Launching,
) -> None:
    run = launching.run(_STARTED)
    launching.launcher.launch_run(LaunchRunContext(run, workspace=None))
    assert launching.now(run).tags[DAGSTER_CELERY_TASK_ID_TAG] == run.run_id
    launching.launcher.resume_run(ResumeRunContext(run, workspace=None, resume_attempt_number=1))
    resumed, launched = launching.handed_over()
    with worker_app(launching.broker.url) as app:
        for message in (resumed, launched):
            _, options, _ = json.loads(base64.b64decode(message["body"]))
            inspect.signature(app.tasks[message["headers"]["task"]].run).bind(**options)
            (arguments,) = options.values()
            assert arguments["run_id" if "run_id" in arguments else "pipeline_run_id"] == run.run_id
            assert arguments["instance_ref"] is None
            assert "secret" not in json.dumps(options)
    assert launched["headers"]["id"] == run.run_id
    assert resumed["headers"]["id"] == launching.now(run).tags[DAGSTER_CELERY_TASK_ID_TAG]
    assert launching.health(launching.now(run)) is WorkerStatus.RUNNING


def test_a_run_that_the_broker_does_not_take_stays_in_dagsters_queue(launching: Launching) -> None:
    run = launching.run(_STARTING)
    launching.broker.kill()
    # Dagster queues a run again for this error, and fails it for any other.
    with pytest.raises(DagsterUserCodeUnreachableError, match="HULEEDU_BROKER_URL"):
        launching.launcher.launch_run(LaunchRunContext(run, workspace=None))
