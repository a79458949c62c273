"""The Celery application that launcher and workers share: its configuration and its two tasks."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery, Task
from celery.signals import setup_logging
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task, create_resume_job_task

from huleedu_dagster.orchestration.celery_signs import signs_of_life
from huleedu_dagster.orchestration.launching import MAX_RUNTIME_SECONDS, QUEUE

_KILL_SECONDS = MAX_RUNTIME_SECONDS + 600
_TASKS_PER_CHILD = 100
_CONNECT_SECONDS = 5


def app_args(broker_url: str, queue: str = QUEUE) -> dict[str, Any]:
    """What `make_app` of dagster-celery makes the application from."""
    return {
        "broker": broker_url,
        # What became of a run is in Dagster; whether a process works on it, in its signs of life.
        "backend": None,
        "task_default_queue": queue,
        "set_as_current": False,
        "config_source": {
            "broker_connection_retry_on_startup": True,
            "broker_connection_max_retries": None,
            "broker_transport_options": {
                "socket_keepalive": True,
                "socket_connect_timeout": _CONNECT_SECONDS,
                "health_check_interval": 25,
            },
            "task_publish_retry_policy": {"max_retries": 1, "interval_start": 0.2},
            "task_ignore_result": True,
            "task_store_errors_even_if_ignored": False,
            # Dagster ends a run that takes too long; this ends a process that does not obey.
            "task_time_limit": _KILL_SECONDS,
            # Early acknowledgement: a task that is delivered twice would resume a run twice.
            "task_acks_late": False,
            # A busy worker would otherwise hold a second run while another worker is idle.
            "worker_prefetch_multiplier": 1,
            "worker_disable_prefetch": True,
            "worker_max_tasks_per_child": _TASKS_PER_CHILD,
            "worker_hijack_root_logger": False,
            "worker_send_task_events": False,
        },
    }


def worker_app(broker_url: str) -> Celery:
    """The application of a worker, with the tasks that execute and resume runs."""
    # Who answers this signal has Celery leave the lines of the process as they are.
    setup_logging.connect(_configured_already)
    app: Celery = make_app(app_args(broker_url))  # type: ignore[no-untyped-call]
    # Not shared: Celery would keep them for every application that this process ever makes.
    options: dict[str, Any] = {"base": RunTask, "shared": False}
    create_execute_job_task(app, **options)
    create_resume_job_task(app, **options)
    return app


class RunTask(Task):  # type: ignore[misc]
    """Executes a run: gives signs of life, and may be interrupted in an orderly way."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Execute the task.

        A SIGTERM, which is how a run is terminated, is heeded where Dagster lets steps be
        interrupted; the run is then reported as canceled by its own process.
        """
        broker_url = self.app.conf.broker_url
        signs = signs_of_life(broker_url, self.request.id)
        with signs, _signals_as_before(), capture_interrupts():
            return super().__call__(*arguments, **options)


def _configured_already(**_: Any) -> None:
    pass


@contextmanager
def _signals_as_before() -> Iterator[None]:
    # Dagster leaves SIGTERM as SIGINT was, which Celery's processes ignore.
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
