"""What it costs to submit a class again that is done: no run, and little beside reading it."""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from unittest import mock

import typer

from benchmarks.essays import write_class
from benchmarks.framework import Figure, Sample, seconds_of_others
from benchmarks.servers import bucket_settings, postgres
from huleedu_dagster.cli.common import Exit, Installation
from huleedu_dagster.cli.run import submit
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.settings import Settings

COUNT = 90
_BATCH = "bench"
_TARGET_MS = 2.0
_MOST_TICKS = 10


def benchmarks() -> list[Figure]:
    """The benchmarks of a class that is submitted again."""
    return [
        Figure(
            name=f"resubmission-{name}",
            subject=f"`huleedu submit` of {COUNT} essays that are done already, {where}",
            unit="ms",
            target=_TARGET_MS,
            case=case,
            note=(
                "per essay, beyond reading the files and hashing them, which is measured in the "
                "same round (part `read_and_hash`); opening the ledger and the answer count, the "
                "start of a process and its imports do not; "
                "then all sensors tick, and a run is an error (part `tick`, for the whole class); "
                "CPU without the ticks, with the servers"
            ),
        )
        for name, where, case in (
            ("sqlite", "on SQLite and a folder", _on_sqlite),
            ("postgres", "on Postgres and S3", _on_postgres),
        )
    ]


@contextmanager
def _on_sqlite(folder: Path) -> Iterator[Callable[[], Sample]]:
    with _done(folder, {}) as measure:
        yield measure


@contextmanager
def _on_postgres(folder: Path) -> Iterator[Callable[[], Sample]]:
    with postgres("ledger", "dagster") as (ledger, dagster):
        settings = {"HULEEDU_LEDGER_URL": ledger, "HULEEDU_DAGSTER_DATABASE_URL": dagster}
        with _done(folder, {**settings, **bucket_settings(folder)}) as measure:
            yield measure


@contextmanager
def _done(folder: Path, settings: dict[str, str]) -> Iterator[Callable[[], Sample]]:
    """A class that went all the way."""
    essays = folder / "essays"
    write_class(essays, COUNT)
    home = folder / "home"
    with mock.patch.dict(os.environ, {"HULEEDU_HOME": str(home), **settings}):
        installation = Installation(Settings())
        batch_settings = installation.settings.batch_settings
        lifecycle.register(
            installation.ledger, _BATCH, settings=batch_settings, expected_essay_count=COUNT
        )
        _submit(essays)
        with (
            DagsterHome(installation.settings).instance() as instance,
            InProcessDaemon(instance, module="benchmarks.definitions") as daemon,
        ):
            for _ in range(_MOST_TICKS):
                daemon.tick()
            if installation.view(_BATCH).status is not BatchStatus.READY:
                raise RuntimeError("the batch did not become ready")
            yield lambda: _again(essays, daemon)
        installation.ledger.close()


def _again(essays: Path, daemon: InProcessDaemon) -> Sample:
    runs, cpu = daemon.run_count(), _cpu_seconds()
    reading = _timed(lambda: _read_and_hash(essays))
    submitting = _timed(lambda: _submit(essays))
    cpu = _cpu_seconds() - cpu
    ticking = _timed(daemon.tick)
    if daemon.run_count() != runs:
        raise RuntimeError("a class that was submitted again launched a run")
    parts = {"read_and_hash": reading / COUNT, "submit": submitting / COUNT, "tick": ticking}
    return Sample((submitting - reading) / COUNT, cpu, parts)


def _submit(essays: Path) -> None:
    with redirect_stdout(io.StringIO()):
        try:
            submit([essays], _BATCH, as_json=True)
        except typer.Exit as ended:
            if ended.exit_code == Exit.READY:
                return
    raise RuntimeError("the class was not taken in")


def _cpu_seconds() -> float:
    return time.process_time() + seconds_of_others()


def _read_and_hash(essays: Path) -> None:
    for path in sorted(essays.rglob("*")):
        if path.is_file():
            hashlib.sha256(path.read_bytes()).hexdigest()


def _timed(call: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1000
