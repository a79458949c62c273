"""Instances of Dagster on its stock storages and on ours, and a history for both."""

import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetSpec,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    DynamicPartitionsDefinition,
    Failure,
    JobDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    asset,
    asset_check,
    define_asset_job,
    multi_asset,
)
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster_postgres.event_log import PostgresEventLogStorage

from tests.support.postgres import postgres_database

DATABASES = ("postgres", "sqlite")
CLASSES = {
    ("sqlite", "stock"): ("dagster._core.storage.sqlite_storage", "DagsterSqliteStorage"),
    ("sqlite", "ours"): ("huleedu_dagster.dagster_storage.sqlite", "PooledSqliteStorage"),
    ("postgres", "stock"): ("dagster_postgres.storage", "DagsterPostgresStorage"),
    ("postgres", "ours"): ("huleedu_dagster.dagster_storage.postgres", "PooledPostgresStorage"),
}
CELLS = MultiPartitionsDefinition(
    {
        "batch": DynamicPartitionsDefinition(name="batch"),
        "essay": DynamicPartitionsDefinition(name="essay"),
    }
)
STAGES = ("raw", "text", "spelling")
FAILING = "e003"
RUNS = 6
"""Runs of the history."""
_SLOTS = ("e001", "e002", "e003", "e004")
_BATCH = "b1"


@contextmanager
def instance_on(kind: str, flavour: str, folder: Path) -> Iterator[DagsterInstance]:
    """A new instance with a storage of a kind, `stock` or `ours`."""
    if kind == "postgres":
        with (
            postgres_database(migrated=False) as url,
            opened(kind, flavour, folder, postgres_url=url) as instance,
        ):
            yield instance
        return
    with opened(kind, flavour, folder, base_dir=str(folder / flavour)) as instance:
        yield instance


@contextmanager
def opened(kind: str, flavour: str, folder: Path, **config: str) -> Iterator[DagsterInstance]:
    """An instance on a database that there may be already."""
    with DagsterInstance.from_ref(_reference(kind, flavour, folder, config)) as instance:
        yield instance


@contextmanager
def another(kind: str, flavour: str, instance: DagsterInstance) -> Iterator[DagsterInstance]:
    """A second instance, as another process has it, on the database of the first."""
    with opened(kind, flavour, Path(instance.root_directory), **where(instance)) as found:
        yield found


def where(instance: DagsterInstance) -> dict[str, str]:
    """Where the database of an instance is, as the configuration of a storage says it."""
    storage = instance.event_log_storage
    if isinstance(storage, PostgresEventLogStorage):
        return {"postgres_url": storage.postgres_url}
    named = instance.get_ref().storage_data
    assert named is not None
    return {"base_dir": named.config_dict["base_dir"]}


def cell(slot: str) -> MultiPartitionKey:
    """The partition key of a slot."""
    return MultiPartitionKey({"batch": _BATCH, "essay": slot})


def materialization(stage: str, slot: str, version: str = "1") -> AssetMaterialization:
    """What the op emits of one essay and stage."""
    return AssetMaterialization(
        stage,
        partition=cell(slot),
        metadata={"version": version, "words": 400},
        tags={"dagster/data_version": f"{slot}-{version}", "dagster/code_version": "1"},
    )


@multi_asset(
    name="essays",
    specs=[AssetSpec(stage, skippable=True) for stage in STAGES],
    check_specs=[AssetCheckSpec("is_intact", asset="raw")],
    partitions_def=CELLS,
    can_subset=True,
    backfill_policy=BackfillPolicy.single_run(),
)
def essays(context: AssetExecutionContext) -> Iterator[Any]:
    """Emits as the essay op does, and every other kind of event in between."""
    slots = [str(key).partition("|")[2] for key in context.partition_keys]
    version = context.run.tags["version"]
    good = [slot for slot in slots if slot != FAILING or version != "1"]
    for stage in STAGES:
        for slot in good:
            yield materialization(stage, slot, version)
        context.log.info("a message between the stages")
    # Mixed, the last stage first.
    for stage in reversed(STAGES):
        yield materialization(stage, good[0], f"{version}-again")
    yield AssetObservation("text", partition=cell(good[0]), metadata={"seen": version})
    for slot in good:
        yield AssetCheckEvaluation(
            asset_key=AssetKey("raw"),
            check_name="is_intact",
            passed=slot != "e002",
            partition=cell(slot),
        )
    yield materialization("spelling", good[-1], f"{version}-last")
    if good != slots:
        raise Failure("one essay failed")


@asset(deps=["spelling"])
def report(context: AssetExecutionContext) -> None:
    """An ordinary asset without partitions."""
    context.add_output_metadata({"essays": 3})


@asset_check(asset=report)
def report_is_there() -> AssetCheckResult:
    """An ordinary check."""
    return AssetCheckResult(passed=True)


def job(name: str = "all", *assets: str) -> JobDefinition:
    """A job over some assets."""
    chosen = define_asset_job(name, selection=list(assets) if assets else "*")
    definitions = Definitions([essays, report], asset_checks=[report_is_there], jobs=[chosen])
    return definitions.resolve_job_def(name)


def run_essays(instance: DagsterInstance, run_id: str, version: str, last: str = "e004") -> bool:
    """One run over the cells up to the last; whether it succeeded."""
    tags = {
        "dagster/asset_partition_range_start": f"{_BATCH}|e001",
        "dagster/asset_partition_range_end": f"{_BATCH}|{last}",
        "version": version,
    }
    result = job("essays", *STAGES).execute_in_process(
        instance=instance, run_id=run_id, tags=tags, raise_on_error=False
    )
    return result.success


def prepare(instance: DagsterInstance) -> None:
    """Add the partitions."""
    instance.add_dynamic_partitions("batch", [_BATCH])
    instance.add_dynamic_partitions("essay", list(_SLOTS))


def plan(instance: DagsterInstance, run_id: str) -> None:
    """Make a run over two cells that never begins: what it planned stays planned."""
    tags = {
        "dagster/asset_partition_range_start": f"{_BATCH}|e003",
        "dagster/asset_partition_range_end": f"{_BATCH}|e004",
    }
    instance.create_run_for_job(job("essays", *STAGES), run_id=run_id, tags=tags)


def event(stage: str, slot: str, run: str) -> EventLogEntry:
    """The event of one materialization."""
    data = StepMaterializationData(materialization(stage, slot))
    happened = DagsterEvent("ASSET_MATERIALIZATION", "essays", event_specific_data=data)
    return EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level=logging.DEBUG,
        user_message="",
        run_id=run,
        timestamp=time.time(),
        step_key="essays",
        job_name="essays",
        dagster_event=happened,
    )


def make_history(instance: DagsterInstance) -> None:
    """Runs that fail and succeed, events without a run, a wiped asset and planned events."""
    prepare(instance)
    instance.report_runless_asset_event(AssetMaterialization("registration", partition=_BATCH))
    assert not run_essays(instance, run_id(1), "1")
    assert run_essays(instance, run_id(2), "2", last="e002")
    assert job("report", "report").execute_in_process(instance=instance, run_id=run_id(3)).success
    instance.wipe_assets([AssetKey("report")])
    assert job("report", "report").execute_in_process(instance=instance, run_id=run_id(4)).success
    plan(instance, run_id(5))
    # With events of three assets that may wait still.
    for stage in STAGES:
        instance.store_event(event(stage, "e001", run_id(1)))
    instance.wipe_assets([AssetKey("text")])
    assert run_essays(instance, run_id(6), "3", last="e001")
    instance.delete_dynamic_partition("essay", "e004")


def run_id(number: int) -> str:
    """Ids of runs, the same on every instance."""
    return f"00000000-0000-4000-8000-{number:012}"


def _reference(kind: str, flavour: str, folder: Path, config: dict[str, str]) -> InstanceRef:
    module, name = CLASSES[kind, flavour]
    custom = {"module": module, "class": name, "config": config}
    settings = {
        "storage": {"custom": custom},
        "telemetry": {"enabled": False},
        "python_logs": {"python_log_level": "INFO"},
    }
    home = folder / f"home-{flavour}"
    home.mkdir(exist_ok=True)
    return InstanceRef.from_dir(str(home), overrides=settings)


def main(kind: str, config: dict[str, str]) -> None:
    """Store an event and end without closing anything."""
    folder = Path(tempfile.mkdtemp())
    instance = DagsterInstance.from_ref(_reference(kind, "ours", folder, config))
    instance.store_event(event("raw", "e001", run_id(1)))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
