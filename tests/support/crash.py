"""Ticks the sensors with the daemon's own code and dies at a chosen moment.

`create_run` (the default): after partitions were added, before the run is stored.
`emit`: when the outcomes are in the ledger and no event has reached Dagster.
"""

import os
import signal
import sys
from typing import Any

from dagster import DagsterInstance

from huleedu_dagster.assets.emission import BatchEmission
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from tests.support import world_defs


def main() -> None:
    """Die at the moment that the command line names."""
    moment = sys.argv[1] if len(sys.argv) > 1 else "create_run"
    settings = Settings()
    ledger = Ledger(settings.resolved_ledger_url)
    world_defs.use(ledger, LocalBlobStore(settings.blob_folder))

    def die(*_arguments: Any, **_more: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "create_run":
        DagsterInstance.create_run = die  # type: ignore[method-assign,assignment]
    else:
        BatchEmission.events = die  # type: ignore[method-assign,assignment]
    with (
        DagsterHome(settings).instance() as instance,
        InProcessDaemon(instance, module="tests.support.world_defs") as daemon,
    ):
        daemon.tick()


if __name__ == "__main__":
    main()
