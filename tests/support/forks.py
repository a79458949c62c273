"""Forks while events wait, connections are open and a thread holds the locks of the storage.

Called with the kind of the database and where it is. The child stores an event of a run of its own
and ends without a clean-up, as the children of some servers do; then the parent goes on.
"""

import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from dagster import AssetKey, DagsterEventType, DagsterInstance

from huleedu_dagster.dagster_storage.batching import store_collected
from tests.support.storages import event, opened, run_id


def store(instance: DagsterInstance, slot: str, run: str) -> None:
    """Store an event and read it, as the process that this is."""
    instance.store_event(event("raw", slot, run))
    store_collected(instance, run)
    materialized = DagsterEventType.ASSET_MATERIALIZATION
    found = instance.get_latest_storage_id_by_partition(AssetKey("raw"), materialized)
    assert any(str(it).endswith(slot) for it in found), found


def main(kind: str, config: dict[str, str]) -> None:
    """Fork."""
    with opened(kind, "ours", Path(tempfile.mkdtemp()), **config) as instance:
        storage: Any = instance.event_log_storage
        write, busy, go_on = storage.collector._write, threading.Event(), threading.Event()

        def slow(events: Any) -> None:
            busy.set()
            assert go_on.wait(60)
            write(events)

        # Connections are in the pool.
        store(instance, "e001", run_id(1))
        storage.collector._write = slow
        instance.store_event(event("raw", "e002", run_id(1)))
        flushing = threading.Thread(target=storage.collector.flush)
        flushing.start()
        assert busy.wait(60)
        child = os.fork()
        if child == 0:
            storage.collector._write = write
            try:
                store(instance, "e003", run_id(2))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert ended == 0, "the child failed"
        go_on.set()
        flushing.join(60)
        storage.collector._write = write
        store(instance, "e004", run_id(1))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
