"""Ticks the sensors with the daemon's own code and dies right after partitions were added."""

import os
import signal
from typing import Any

from dagster import DagsterInstance

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.settings import Settings


def main() -> None:
    """Die between adding partitions and storing the run."""
    settings = Settings()
    Ledger(settings.resolved_ledger_url).migrate()

    def die(*_arguments: Any, **_more: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    DagsterInstance.create_run = die  # type: ignore[method-assign,assignment]
    with DagsterHome(settings).instance() as instance, InProcessDaemon(instance) as daemon:
        daemon.tick()


if __name__ == "__main__":
    main()
