"""What the launcher relies on in dagster-celery and Dagster is as it was when it was written.

It overrides some stock methods, calls others, and relies on when Dagster resumes a run. A function
that changed is named here; `tests/e2e/test_scale.py` then says what that means.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import dagster
import pytest
from dagster._cli.api import _resume_run_command_body
from dagster._core.execution.api import execute_run_iterator, job_execution_iterator
from dagster._core.instance.methods.run_launcher_methods import RunLauncherMethods
from dagster._core.launcher.base import RunLauncher
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._daemon.monitoring.run_monitoring import monitor_started_run
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.make_app import make_app_with_task_routes
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from huleedu_dagster.domain.keys import sha256_hex

RELIED_ON: dict[Callable[..., Any], str] = {
    CeleryRunLauncher.__init__: "007320bf45e2ccfd",
    CeleryRunLauncher._launch_celery_task_run: "1d9fa8cb6d518acc",
    CeleryRunLauncher.resume_run: "810149ff483eba81",
    create_execute_job_task: "c990c02de1e6e7f7",
    create_resume_job_task: "bd2fc6bbe8c0986c",
    make_app_with_task_routes: "302b72dc6e712755",
    monitor_started_run: "bc211672a19dbc70",
    RunLauncherMethods.resume_run: "0ec9adf98af3ae6e",
    QueuedRunCoordinator.cancel_run: "57ef3ccf9de45fa3",
    QueuedRunCoordinatorDaemon._dequeue_run: "679fd42e7b20541a",
    execute_run_iterator: "63dd8308fc4d781b",
    job_execution_iterator: "49ba219757f1e583",
    _resume_run_command_body: "774ab002005c7798",
    capture_interrupts: "9092d28bdcd6461b",
}


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda it: it.__qualname__)
def test_a_stock_function_that_the_launcher_relies_on_is_unchanged(
    function: Callable[..., Any],
) -> None:
    found = sha256_hex(inspect.getsource(function).encode())[:16]
    assert found == RELIED_ON[function], (
        f"dagster-celery {version('dagster-celery')} with Dagster {dagster.__version__} changed "
        f"{function.__module__}.{function.__qualname__}, which huleedu_dagster/orchestration/"
        "celery_launcher.py or celery_app.py overrides, calls or relies on "
        "(docs/adr/0024-signs-of-life.md). Read the change, make the launcher follow, run "
        f"tests/e2e/test_scale.py, then put {found!r} here. Until then one machine is safe: leave "
        "HULEEDU_BROKER_URL empty."
    )


def test_a_launcher_has_no_method_that_ours_does_not_know() -> None:
    found = {name for name, it in vars(RunLauncher).items() if callable(it) or name[0] != "_"}
    assert {it for it in found if not it.startswith("_")} == {
        "launch_run",
        "terminate",
        "dispose",
        "join",
        "supports_check_run_worker_health",
        "check_run_worker_health",
        "get_run_worker_debug_info",
        "supports_resume_run",
        "resume_run",
    }
