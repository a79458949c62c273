"""All that Dagster's storages tell of the history of `storages`, to be compared."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetRecordsFilter,
    DagsterEventType,
    DagsterInstance,
    EventRecordsFilter,
)
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._serdes import serialize_value

from tests.support.storages import CELLS, RUNS, STAGES, run_id

_CHECKS = (
    AssetCheckKey(AssetKey("raw"), "is_intact"),
    AssetCheckKey(AssetKey("report"), "report_is_there"),
)
_PAGE = 3
_TIMES = re.compile(r"\d+(\.\d+)?(ms|s)\b")
_VOLATILE = {
    "timestamp",
    "pid",
    "log_key",
    "last_wipe_timestamp",
    "duration_ms",
    "enqueued_time",
    "launch_time",
    "start_time",
    "end_time",
}


def told(instance: DagsterInstance) -> dict[str, Any]:
    """All that Dagster's queries tell of the history, without times."""
    storage = instance.event_log_storage
    runs = [run_id(number) for number in range(1, RUNS + 1)]
    assets = [AssetKey(it) for it in ("registration", *STAGES, "report")]
    kinds = (
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    )
    found: dict[str, Any] = {
        "runs": [(it.run_id, it.status, it.tags) for it in instance.get_runs()],
        "asset keys": sorted(it.to_string() for it in instance.all_asset_keys()),
        "greatest id": storage.get_maximum_record_id(),
        "partitions": {it: storage.get_dynamic_partitions(it) for it in ("batch", "essay")},
        "latest materializations": {
            key.to_string(): plain(it)
            for key, it in storage.get_latest_materialization_events(assets).items()
        },
    }
    for check in _CHECKS:
        found[f"history of {check.name}"] = [
            (it.run_id, it.status, plain(it.event))
            for it in storage.get_asset_check_execution_history(check, limit=50)
        ]
        latest = storage.get_latest_asset_check_execution_by_key([check])
        found[f"latest of {check.name}"] = [(it.run_id, it.status) for it in latest.values()]
    for it in runs:
        page = storage.get_records_for_run(it, limit=7)
        rest = storage.get_records_for_run(it, cursor=page.cursor)
        steps = storage.get_step_stats_for_run(it)
        found[f"events of {it}"] = [
            (one.storage_id, plain(one.event_log_entry)) for one in page.records
        ]
        found[f"events after the first of {it}"] = [
            plain(one.event_log_entry) for one in rest.records
        ]
        found[f"planned of {it}"] = storage.get_asset_partitions_for_run(it)
        found[f"counts of {it}"] = plain(storage.get_stats_for_run(it))
        found[f"steps of {it}"] = [(one.step_key, one.status, one.attempts) for one in steps]
    for key in assets:
        name = key.to_user_string()
        for kind in kinds:
            found[f"latest {kind.value} of {name}"] = storage.get_latest_storage_id_by_partition(
                key, kind
            )
        for kind in kinds:
            found[f"{kind.value} of {name} by pages"] = list(_paged(instance, key, kind))
        records = instance.fetch_materializations(AssetRecordsFilter(key), limit=500).records
        seen = instance.fetch_observations(AssetRecordsFilter(key), limit=500).records
        found[f"materializations of {name}"] = [plain(it.event_log_entry) for it in records]
        found[f"observations of {name}"] = [plain(it.event_log_entry) for it in seen]
        found[f"partitions of {name}"] = instance.get_materialized_partitions(key)
        found[f"planned last of {name}"] = storage.get_latest_planned_materialization_info(key)
        found[f"tags of {name}"] = storage.get_event_tags_for_asset(key)
        found[f"tags by partition of {name}"] = storage.get_latest_tags_by_partition(
            key,
            DagsterEventType.ASSET_MATERIALIZATION,
            ["dagster/partition/batch", "dagster/data_version"],
        )
        found[f"unfinished of {name}"] = (
            storage.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
        )
        found[f"summary of {name}"] = [
            (it.storage_id, it.run_id, it.partition)
            for it in storage.get_asset_event_summary_records(
                DagsterEventType.ASSET_MATERIALIZATION, asset_key=key
            )
        ]
        entries = [it.asset_entry for it in storage.get_asset_records([key])]
        found[f"record of {name}"] = [
            (it.last_run_id, it.last_materialization_storage_id, plain(it.last_materialization))
            for it in entries
        ]
        statuses = get_and_update_asset_status_cache_value(
            instance, key, CELLS if name in STAGES else None
        )
        found[f"status of {name}"] = plain(statuses)
    return found


def _paged(
    instance: DagsterInstance, key: AssetKey, kind: DagsterEventType
) -> Iterator[list[tuple[int, Any]]]:
    """Events of an asset as a sensor reads them, each page after the greatest id of the last."""
    cursor = None
    while True:
        wanted = EventRecordsFilter(kind, asset_key=key, after_cursor=cursor)
        page = instance.event_log_storage.get_event_records(wanted, limit=_PAGE, ascending=True)
        if not page:
            return
        yield [(it.storage_id, plain(it.event_log_entry)) for it in page]
        cursor = page[-1].storage_id


def rows(instance: DagsterInstance) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of events, in the order of ids, without times.

    The ids of assets are left out: on Postgres stock takes a new one at every event.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    shards = ["index"]
    if isinstance(storage, SqliteEventLogStorage):
        shards += [run_id(number) for number in range(1, RUNS + 1)]
    found = {}
    for shard in shards:
        with storage.run_connection(shard) as connection:
            for table in SqlEventLogStorageMetadata.sorted_tables:
                order = [it for it in table.columns if it.name == "id"]
                query = sa.select(table).order_by(*order)
                found[f"{table.name} of {shard}"] = [
                    {
                        name: _plain_cell(name, value)
                        for name, value in row.items()
                        if (table.name, name) != ("asset_keys", "id")
                    }
                    for row in connection.execute(query).mappings()
                ]
    return found


def plain(value: Any) -> Any:
    """A value of Dagster without times and process ids, to be compared."""
    return None if value is None else _scrubbed(json.loads(serialize_value(value)))


def _plain_cell(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return value is not None
    if isinstance(value, str) and value.startswith("{"):
        return _scrubbed(json.loads(value))
    return value


def _scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: None if k in _VOLATILE else _scrubbed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_scrubbed(it) for it in value]
    return _TIMES.sub("some time", value) if isinstance(value, str) else value
