"""Ticks the sensors of the installation of the environment and dies at a chosen moment.

Called with a journal, a moment and a number. Every event of a run is written to the journal before
it is handed to the storage of Dagster's events. The moments:

`stored N`: the storage has returned from its Nth event, which may wait in memory.
`write N`: the storage is about to write what waits for the Nth time.
`index N`: in the middle of that transaction: events are inserted, what is derived from them is not.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dagster._core.events.log import EventLogEntry

from huleedu_dagster.dagster_storage.batching import BatchingEventLog
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from tests.support import world_defs


def line(event: EventLogEntry) -> list[str | None]:
    """What tells one event of a run from the others of it."""
    happened = event.dagster_event
    if happened is None:
        return [event.user_message, None, None]
    asset = happened.asset_key.to_user_string() if happened.asset_key else None
    return [happened.event_type_value, asset, happened.partition]


def journal(path: Path) -> Callable[[EventLogEntry], None]:
    """Writes events to a file, where they outlive this process."""
    stream = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(event: EventLogEntry) -> None:
        os.write(stream, f"{json.dumps([event.run_id, *line(event)])}\n".encode())

    return write


def die_at(storage: Any, moment: str, number: int, before: Callable[[Any], None]) -> None:
    """Have a storage tell of each event before it stores it, and die."""
    left = {"stored": -1, "write": -1, "index": -1, moment: number}

    def passed(name: str) -> None:
        left[name] -= 1
        if left[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    store_event, write, index = storage.store_event, storage.collector._write, storage._write_index

    def storing(event: EventLogEntry) -> None:
        if event.run_id:
            before(event)
        store_event(event)
        if event.run_id:
            passed("stored")

    def writing(events: Any) -> None:
        passed("write")
        write(events)

    def indexing(*arguments: Any) -> None:
        passed("index")
        index(*arguments)

    storage.store_event, storage.collector._write = storing, writing
    storage._write_index = indexing


def main(path: Path, moment: str, number: int) -> None:
    """Die at that moment."""
    settings = Settings()
    world_defs.use(Ledger(settings.resolved_ledger_url), LocalBlobStore(settings.blob_folder))
    with DagsterHome(settings).instance() as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLog)
        with InProcessDaemon(instance, module="tests.support.world_defs") as daemon:
            die_at(instance.event_log_storage, moment, number, journal(path))
            daemon.tick()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
