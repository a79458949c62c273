"""What our storages of Dagster's events rely on in Dagster is as it was when they were written.

They skip some stock functions and call others, so an upgrade may break them without an error. A
function that changed is named here; `tests/dagster/test_storage.py` then says what that means.
"""

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import dagster
import pytest
from dagster._core.events import ASSET_EVENTS, FAILURE_EVENTS
from dagster._core.instance.methods.event_methods import EventMethods
from dagster._core.instance.types import _EventListenerLogHandler
from dagster._core.storage.event_log.base import EventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import (
    SqliteEventLogStorage,
    SqliteEventLogStorageWatchdog,
)
from dagster._core.storage.runs.base import RunStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.base import ScheduleStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.storage import DagsterPostgresStorage

from huleedu_dagster.dagster_storage import postgres, sqlite
from huleedu_dagster.domain.keys import sha256_hex

RELIED_ON: dict[Callable[..., Any], str] = {
    SqlEventLogStorage._event_to_row: "93d47fbe7edc4f70",
    SqlEventLogStorage._store_asset_event: "fdb9340b9eef1c9b",
    SqlEventLogStorage._has_asset_key_index_cols_on_connection: "8d359e6b6224b3fd",
    SqlEventLogStorage._get_asset_entry_values: "bb3b9df2c6c371fe",
    SqlEventLogStorage._store_asset_event_tags: "85d6f17ef04b926f",
    SqlEventLogStorage._tags_for_asset_event: "c5c3936a8de86826",
    SqlEventLogStorage.store_event: "391ced414e9bfecb",
    SqlEventLogStorage.index_transaction: "00b2488c8cdfd277",
    EventLogStorage.store_event_batch: "d710189545dbace2",
    EventLogStorage.get_asset_tags_to_index: "a7a7d1b8f6fb3340",
    SqliteEventLogStorage.__init__: "264c15baa761a7bb",
    SqliteEventLogStorage._initdb: "7a302d98eb61a34d",
    SqliteEventLogStorage._connect: "b8435f2665689760",
    SqliteEventLogStorage.run_connection: "54e64bd6f8b77093",
    SqliteEventLogStorage.index_connection: "8caf95ebe806cabd",
    SqliteEventLogStorage.store_event: "f89aed40602438b9",
    SqliteEventLogStorage.has_table: "577d801c70b2a4a5",
    SqliteEventLogStorage.watch: "a223e2f9cf3abda9",
    SqliteEventLogStorageWatchdog.__init__: "5b69b9886efb95b7",
    SqliteEventLogStorageWatchdog.on_modified: "c7dc16446530a177",
    SqliteEventLogStorage.wipe: "de02c63676e7d477",
    SqliteEventLogStorage.dispose: "df16dafbfa8427c1",
    RunStorage.dispose: "cff0c9b09050e236",
    ScheduleStorage.dispose: "cff0c9b09050e236",
    SqliteRunStorage.connect: "d343abae6e9bea85",
    SqliteScheduleStorage.connect: "d343abae6e9bea85",
    DagsterSqliteStorage.__init__: "bcf5aa27a5dd083f",
    DagsterSqliteStorage.from_config_value: "7330f7b17b217d04",
    PostgresEventLogStorage.__init__: "647dff00b58c1222",
    PostgresEventLogStorage._connect: "a1935b91a983062d",
    PostgresEventLogStorage.index_transaction: "d4018b0dade43e19",
    PostgresEventLogStorage.store_event: "4a2e37e5871bf2c8",
    PostgresEventLogStorage.store_event_batch: "ff147ed514ba9786",
    PostgresEventLogStorage._store_asset_event: "2dc70ccdb0feb5be",
    PostgresEventLogStorage.has_table: "78217fbd74d0e09d",
    PostgresEventLogStorage.dispose: "ce4ee18aa28915d1",
    PostgresEventLogStorage.optimize_for_webserver: "c084cd79114d5e5e",
    PostgresRunStorage.__init__: "c20e1fcd1ee52b39",
    PostgresRunStorage.connect: "b76438443325ba8b",
    PostgresRunStorage.optimize_for_webserver: "c084cd79114d5e5e",
    PostgresScheduleStorage.__init__: "ac8f466b4e7680d5",
    PostgresScheduleStorage.connect: "a4bc5c28a11b0821",
    PostgresScheduleStorage.optimize_for_webserver: "c084cd79114d5e5e",
    DagsterPostgresStorage.__init__: "8e85b361f6594901",
    DagsterPostgresStorage.config_type: "a55f6039e6c59829",
    DagsterPostgresStorage.from_config_value: "d6d1114f16d05e2b",
    EventMethods.handle_new_event: "db900859da5b7e70",
    _EventListenerLogHandler.emit: "907f21c814ce69c6",
}


@pytest.mark.parametrize("function", RELIED_ON, ids=lambda it: it.__qualname__)
def test_a_stock_function_that_the_storages_rely_on_is_unchanged(
    function: Callable[..., Any],
) -> None:
    found = fingerprint(function)
    assert found == RELIED_ON[function], (
        f"Dagster {dagster.__version__} changed {function.__module__}.{function.__qualname__}, "
        "which huleedu_dagster/dagster_storage overrides or calls "
        "(docs/adr/0022-batched-events.md). Read the change, make the storages follow, "
        "run tests/dagster/test_storage.py, then put "
        f"{found!r} here. Until then HULEEDU_DAGSTER_STORAGE=stock is safe."
    )


@pytest.mark.parametrize("module", [sqlite, postgres], ids=lambda it: it.__name__)
def test_every_stock_function_that_the_storages_override_is_looked_at(module: ModuleType) -> None:
    found = dict(overridden(module))
    assert found
    relied_on = {plain(it) for it in RELIED_ON}
    assert [name for name, function in found.items() if function not in relied_on] == [], (
        "put them into RELIED_ON: an upgrade that changes them would not be noticed"
    )


def test_the_kinds_of_events_are_those_that_the_storages_know() -> None:
    assert {it.name for it in ASSET_EVENTS} == {
        "ASSET_MATERIALIZATION",
        "ASSET_OBSERVATION",
        "ASSET_MATERIALIZATION_PLANNED",
        "ASSET_FAILED_TO_MATERIALIZE",
        "FRESHNESS_STATE_CHANGE",
    }
    assert {it.name for it in FAILURE_EVENTS} == {"RUN_FAILURE", "STEP_FAILURE", "RUN_CANCELED"}


def fingerprint(function: Callable[..., Any]) -> str:
    """A hash of the source, short enough to be read."""
    return sha256_hex(inspect.getsource(function).encode())[:16]


def overridden(module: ModuleType) -> Iterator[tuple[str, object]]:
    """What the storages of a module have in place of a stock class's, with the stock one."""
    for name, storage in inspect.getmembers(module, inspect.isclass):
        if storage.__module__ != module.__name__:
            continue
        ours = [it for it in storage.__mro__ if it.__module__.startswith("huleedu_dagster.")]
        stock = [it for it in storage.__mro__ if it.__module__.startswith("dagster")]
        for member in sorted({member for it in ours for member in vars(it)}):
            first = next((vars(it)[member] for it in stock if member in vars(it)), None)
            if callable(plain(first)):
                yield f"{name}.{member}", plain(first)


def plain(member: object) -> object:
    """The function of a method, property or class method."""
    found = member.fget if isinstance(member, property) else member
    return getattr(found, "__func__", found)
