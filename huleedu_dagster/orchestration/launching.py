"""How runs are launched on several machines: Dagster's configuration and the worker's program.

Light to import: Celery is loaded by the processes that use it.
"""

from typing import Any

from huleedu_dagster.orchestration.child import python_module
from huleedu_dagster.settings import Settings

QUEUE = "dagster"
MAX_RUNTIME_SECONDS = 3600
"""The longest that a run may take before it is ended, in seconds."""
START_TIMEOUT_SECONDS = 900
"""How long a run may wait for a worker, in seconds."""
_LAUNCH_RETRY_SECONDS = 10
_LAUNCH_RETRIES = 100_000
_MODULE = "huleedu_dagster.orchestration.celery_launcher"


def launcher_config(settings: Settings) -> dict[str, Any]:
    """Sections of `dagster.yaml` to merge into the others, level by level.

    The broker's URL is not among them, since Dagster's pages show this file: each process has it
    from its settings.

    Raises:
        ValueError: The settings name no broker.
    """
    check_broker(settings)
    return {
        "run_launcher": {
            "module": _MODULE,
            "class": "CrashSafeCeleryRunLauncher",
            "config": {"default_queue": QUEUE},
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 5,
            # A run whose worker died goes on in another; after that it fails and is asked for anew.
            "max_resume_run_attempts": 1,
            # With fewer workers than `HULEEDU_MAX_RUNS`, a run waits in the broker as "starting".
            "start_timeout_seconds": START_TIMEOUT_SECONDS,
            "max_runtime_seconds": MAX_RUNTIME_SECONDS,
            "free_slots_after_run_end_seconds": 60,
        },
        "run_coordinator": {
            "config": {
                # A run that the broker does not take waits on: if it failed, one after the other
                # would be asked for in its place.
                "max_user_code_failure_retries": _LAUNCH_RETRIES,
                "user_code_failure_retry_delay": _LAUNCH_RETRY_SECONDS,
            }
        },
    }


def worker_command(settings: Settings) -> list[str]:
    """The program that executes runs which the broker hands out, one at a time.

    It needs the environment of the other parts, `DAGSTER_HOME` among it.

    Raises:
        ValueError: The settings name no broker.
    """
    check_broker(settings)
    return python_module("huleedu_dagster.orchestration.celery_worker")


def check_broker(settings: Settings) -> None:
    """Whether runs can be handed to a broker at all.

    Raises:
        ValueError: The settings name no broker, or one that is not Redis-compatible.
    """
    if not settings.broker_url.startswith(("redis://", "rediss://")):
        raise ValueError(
            "HULEEDU_BROKER_URL does not name a Redis-compatible broker; set it to the likes of "
            "redis://broker.school.example:6379/0"
        )
