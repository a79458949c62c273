"""Our storages of Dagster's events under threads, forks and those who watch."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterEventType, DagsterInstance, EventRecordsFilter
from dagster._core.events.log import EventLogEntry

from huleedu_dagster.dagster_storage.batching import store_collected
from tests.support.storage_crash import line
from tests.support.storages import (
    DATABASES,
    STAGES,
    another,
    event,
    instance_on,
    prepare,
    run_id,
    where,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.slow

_APPEARS_SECONDS = 2.0
_RUN = run_id(1)
_MATERIALIZED = DagsterEventType.ASSET_MATERIALIZATION


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture
def instance(kind: str, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance on our storage, with partitions."""
    with instance_on(kind, "ours", tmp_path) as found:
        prepare(found)
        yield found


@pytest.mark.parametrize("reader", ["ours", "stock"])
def test_who_watches_a_run_is_told_of_its_events_while_it_runs(
    reader: str, kind: str, instance: DagsterInstance
) -> None:
    """The page of a run is told by this; on SQLite it watches the file of the run."""
    seen: list[str | None] = []

    def told(entry: EventLogEntry, _cursor: str) -> None:
        seen.append(entry.get_dagster_event().partition)

    instance.store_event(event("raw", "e001", _RUN))
    instance.event_log_storage.get_records_for_run(_RUN)
    with another(kind, reader, instance) as page:
        page.event_log_storage.watch(_RUN, None, told)
        for slot in ("e002", "e003"):
            before = len(seen)
            instance.store_event(event("raw", slot, _RUN))
            wait_for(lambda before=before: len(seen) > before, _APPEARS_SECONDS)  # type: ignore[misc]
        page.event_log_storage.end_watch(_RUN, told)
    assert [str(it).partition("|")[2] for it in seen] == ["e001", "e002", "e003"]


def test_threads_that_write_at_the_same_time_lose_nothing_and_no_reader_passes_an_event_by(
    kind: str, instance: DagsterInstance
) -> None:
    """Runs of one process. Not whole runs: Dagster's own logging locks itself out with two."""
    runs, reads, done = [run_id(it) for it in (1, 2, 3)], [0], threading.Event()
    order = [(stage, f"e{slot:03}") for slot in range(1, 31) for stage in STAGES]

    def write(run: str) -> None:
        for stage, slot in order:
            instance.store_event(event(stage, slot, run))
            if stage == "text":
                store_collected(instance, run)

    with another(kind, "ours", instance) as page:
        page.optimize_for_webserver(5_000, 3_600, 5)

        def read_on() -> list[int]:
            """As a sensor does: each time after the greatest id that was seen."""
            found: list[int] = []
            while True:
                ended = done.is_set()
                wanted = EventRecordsFilter(
                    _MATERIALIZED,
                    asset_key=AssetKey("raw"),
                    after_cursor=found[-1] if found else None,
                )
                records = page.event_log_storage.get_event_records(wanted, ascending=True)
                found += [it.storage_id for it in records]
                reads[0] += 1
                if ended and not records:
                    return found

        with ThreadPoolExecutor(len(runs) + 1) as threads:
            reading = threads.submit(read_on)
            try:
                list(threads.map(write, runs, timeout=120))
                for run in runs:
                    store_collected(instance, run)
            finally:
                done.set()
            seen = reading.result(60)
    assert reads[0] > len(runs)
    for run in runs:
        written = [(it[1], str(it[2]).partition("|")[2]) for it in sequence(instance, run)]
        assert written == order
    wanted = EventRecordsFilter(_MATERIALIZED, asset_key=AssetKey("raw"))
    everything = instance.event_log_storage.get_event_records(wanted, ascending=True)
    assert seen == [it.storage_id for it in everything], "a reader passed an event by"
    for stage in STAGES:
        (record,) = instance.get_asset_records([AssetKey(stage)])
        pointers = instance.get_latest_storage_id_by_partition(AssetKey(stage), _MATERIALIZED)
        assert record.asset_entry.last_materialization_storage_id == max(pointers.values())


def test_a_forked_process_uses_neither_connections_nor_waiting_events_of_its_parent(
    kind: str, instance: DagsterInstance
) -> None:
    program = [sys.executable, "-m", "tests.support.forks", kind, json.dumps(where(instance))]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    found = {run: [it[2] for it in sequence(instance, run)] for run in (_RUN, run_id(2))}
    slots = {run: [str(it).partition("|")[2] for it in cells] for run, cells in found.items()}
    assert slots == {_RUN: ["e001", "e002", "e004"], run_id(2): ["e003"]}


def sequence(instance: DagsterInstance, run: str) -> list[list[str | None]]:
    """Events of a run in their order."""
    return [line(it) for it in instance.all_logs(run)]
