"""A worker: executes runs that the broker hands out, one at a time, in a process kept warm.

Run as `python -m huleedu_dagster.orchestration.celery_worker`. SIGTERM lets the run that is under
way end and takes no other.
"""

import importlib
import os

from huleedu_dagster.observability.logs import configure_service
from huleedu_dagster.orchestration.celery_app import worker_app
from huleedu_dagster.orchestration.launching import QUEUE, check_broker
from huleedu_dagster.orchestration.locations import MODULE
from huleedu_dagster.orchestration.probes import WORKER_NAME
from huleedu_dagster.settings import Settings


def main() -> None:
    """Work until SIGTERM.

    Raises:
        ValueError: The settings name no broker.
    """
    settings = Settings()
    configure_service(settings)
    check_broker(settings)
    # Before the process that executes runs is made: it has the code then.
    importlib.import_module(MODULE)
    worker_app(settings.broker_url).worker_main(
        [
            # No picture of its settings among the lines.
            "--quiet",
            *("worker", "--queues", QUEUE, "--concurrency", "1", "--loglevel", "warning"),
            *("--hostname", f"{WORKER_NAME}-{os.getpid()}@%h"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
    )


if __name__ == "__main__":
    main()
