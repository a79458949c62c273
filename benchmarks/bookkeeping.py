"""What Dagster's own events cost: our storages against stock, the same run on both."""

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    DagsterInstance,
    Definitions,
    define_asset_job,
    multi_asset,
)
from dagster._core.instance.ref import InstanceRef

from benchmarks.framework import Benchmark, Elsewhere, Side, own_peak_mb
from benchmarks.servers import postgres
from huleedu_dagster.assets.emission import INPUTS, BatchEmission
from huleedu_dagster.dagster_storage.batching import store_collected
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.ledger.records import StageRecord
from huleedu_dagster.partitions import (
    BATCH_DIMENSION,
    ESSAY_DIMENSION,
    ESSAYS,
    cell_key,
    cells_by_batch,
)
from huleedu_dagster.pipeline.essays import EssayResult

COUNT = 90
_BATCH = "bench"
_WAVE = 25
_JOB = "bookkeeping"
_ROUNDS = 3
_TARGET_SECONDS = 0.006
_SLOTS = [f"e{number:03}" for number in range(1, COUNT + 1)]

_Storage = Mapping[str, Any]


def benchmarks() -> list[Benchmark]:
    """The benchmarks of Dagster's bookkeeping."""
    note = (
        f"one run in process of {COUNT} essays with 4 planned and 4 materialized events each, "
        "emitted as the essay op emits them and with nothing computed, from making the run to its "
        "success, in a process of its own each time, as runs are, that had a run of one essay and "
        f"collected its garbage; the subject may take {_TARGET_SECONDS * 1000:.0f} ms an essay; "
        "peaks are those of these processes; CPU includes a server's"
    )
    return [
        Benchmark(
            name="bookkeeping-sqlite",
            subject=Side("our storage of Dagster's events on SQLite", partial(_sqlite, _OURS)),
            baseline=Side("stock DagsterSqliteStorage", partial(_sqlite, _STOCK)),
            target=15,
            most_subject_seconds=COUNT * _TARGET_SECONDS,
            note=note,
            rounds=_ROUNDS,
        ),
        Benchmark(
            name="bookkeeping-postgres",
            subject=Side("our storage of Dagster's events on Postgres", partial(_postgres, _OURS)),
            baseline=Side("stock DagsterPostgresStorage", partial(_postgres, _STOCK)),
            target=22,
            most_subject_seconds=COUNT * _TARGET_SECONDS,
            note=f"{note}; the server syncs and is reached by TCP with a password",
            rounds=_ROUNDS,
        ),
    ]


_OURS = {
    "sqlite": ("huleedu_dagster.dagster_storage.sqlite", "PooledSqliteStorage"),
    "postgres": ("huleedu_dagster.dagster_storage.postgres", "PooledPostgresStorage"),
}
_STOCK = {
    "sqlite": ("dagster._core.storage.sqlite_storage", "DagsterSqliteStorage"),
    "postgres": ("dagster_postgres.storage", "DagsterPostgresStorage"),
}


@contextmanager
def _sqlite(classes: Mapping[str, tuple[str, str]], folder: Path) -> Iterator[Callable[[], object]]:
    module, name = classes["sqlite"]
    config = {"base_dir": str(folder / "storage")}
    with _run(folder, {"module": module, "class": name, "config": config}) as call:
        yield call


@contextmanager
def _postgres(
    classes: Mapping[str, tuple[str, str]], folder: Path
) -> Iterator[Callable[[], object]]:
    module, name = classes["postgres"]
    with postgres("dagster") as (url,):
        config = {"postgres_url": url}
        with _run(folder, {"module": module, "class": name, "config": config}) as call:
            yield call


@contextmanager
def _run(folder: Path, storage: _Storage) -> Iterator[Callable[[], object]]:
    """One run over a class on a new instance with a storage, in a new process.

    In one process stock becomes slower from run to run, which would flatter us.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, folder, dict(storage)))
    process.start()
    theirs.close()
    ours.recv()

    def call() -> Elsewhere:
        ours.send(None)
        return Elsewhere(ours.recv())

    try:
        yield call
    finally:
        ours.close()
        process.join()


def _work(connection: Connection, folder: Path, storage: _Storage) -> None:
    """Prepare an instance; execute a run and tell this process's peak, as often as it is asked."""
    with _instance(folder, storage) as run:
        gc.collect()
        connection.send(None)
        while True:
            try:
                connection.recv()
            except EOFError:
                return
            run()
            connection.send(own_peak_mb())


@contextmanager
def _instance(folder: Path, storage: _Storage) -> Iterator[Callable[[], object]]:
    # As in a home of ours.
    settings = {
        "storage": {"custom": dict(storage)},
        "telemetry": {"enabled": False},
        "python_logs": {"python_log_level": "CRITICAL"},
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
    }
    home = folder / "home"
    home.mkdir()
    reference = InstanceRef.from_dir(str(home), overrides=settings)
    with DagsterInstance.from_ref(reference) as instance:
        instance.add_dynamic_partitions(BATCH_DIMENSION, [_BATCH])
        instance.add_dynamic_partitions(ESSAY_DIMENSION, _SLOTS)
        job = Definitions([_essays()], jobs=[define_asset_job(_JOB)]).resolve_job_def(_JOB)
        run = partial(job.execute_in_process, instance=instance)
        # What an instance makes once is made.
        run(tags=_range(_SLOTS[:1]))
        yield partial(run, tags=_range(_SLOTS))


def _range(slots: Sequence[str]) -> dict[str, str]:
    return {
        "dagster/asset_partition_range_start": f"{_BATCH}|{slots[0]}",
        "dagster/asset_partition_range_end": f"{_BATCH}|{slots[-1]}",
    }


def _essays() -> AssetsDefinition:
    @multi_asset(
        name="essays",
        specs=[AssetSpec(it.value, deps=INPUTS[it], skippable=True) for it in Stage],
        partitions_def=ESSAYS,
        can_subset=True,
        backfill_policy=BackfillPolicy.single_run(),
    )
    def essays(context: AssetExecutionContext) -> Iterator[AssetMaterialization]:
        emission = BatchEmission(context.instance, _BATCH, "settings", frozenset(Stage), None)
        (slots,) = cells_by_batch(context.partition_keys).values()
        results = [_result(slot) for slot in slots]
        for start in range(0, len(results), _WAVE):
            yield from emission.events(results[start : start + _WAVE])
            store_collected(context.instance, context.run.run_id)

    return essays


def _result(slot: str) -> EssayResult:
    records = {
        stage: StageRecord(
            batch_id=_BATCH,
            slot=slot,
            stage=stage,
            materialization_key=sha256_hex(f"{slot} {stage}".encode()),
            upload_id=slot,
            code_version="1",
            outcome=StageOutcome.ACCEPTED,
            data_version=sha256_hex(stage.value.encode()),
            blob_key=f"{stage.value}/{cell_key(_BATCH, slot)}",
            details={"words": 400, "characters": 2_400},
        )
        for stage in Stage
    }
    return EssayResult(slot, 0, records, frozenset(Stage))
