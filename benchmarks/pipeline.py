"""`huleedu run` over a class against a bare loop over the same stores, and against itself again."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from unittest import mock

import typer

from benchmarks.essays import write_class
from benchmarks.framework import Benchmark, Side
from huleedu_dagster.cli.common import Exit, Installation, print_json
from huleedu_dagster.cli.run import run
from huleedu_dagster.definitions import build_resources
from huleedu_dagster.orchestration import in_process
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline import lifecycle, results
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.exports import export_batch
from huleedu_dagster.pipeline.sources import sources_of
from huleedu_dagster.pipeline.stages import Tools
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.reports.batch import write_batch_report
from tests.support.fakes import CheapSpeller

BATCH = "bench"
COUNT = 30
_RUN = f"`huleedu run` over {COUNT} essays"
_SCOPE = (
    "both sides register, hand in, store, extract, validate, check spelling with a cheap speller, "
    "record, write manifest, report, release and corrected texts"
)


def benchmarks() -> list[Benchmark]:
    """The benchmarks of whole classes."""
    return [
        Benchmark(
            name="pipeline-30",
            subject=Side(f"{_RUN}, in process", _first_run),
            baseline=Side("the same functions in a bare loop, no Dagster", _bare_loop),
            note=(
                f"{_SCOPE}; the subject also loads the definitions, ticks all sensors and executes "
                "the runs with Dagster's events; imports and making the databases are not timed"
            ),
            target=0.1,
        ),
        Benchmark(
            name="rerun-30",
            subject=Side(f"{_RUN} that is done already", _second_run),
            baseline=Side(f"{_RUN} that is new", _first_run),
            note=f"{_SCOPE}; imports and making the databases are not timed",
            target=5,
        ),
    ]


def run_command(home: Path, essays: Path) -> None:
    """`huleedu run` in this process, with the cheap speller.

    Raises:
        RuntimeError: The batch did not become ready.
    """
    daemon = partial(in_process.InProcessDaemon, module="benchmarks.definitions")
    with mock.patch.object(in_process, "InProcessDaemon", daemon), redirect_stdout(io.StringIO()):
        try:
            run([essays], BATCH, expected=COUNT, home=home, as_json=True)
        except typer.Exit as ended:
            if ended.exit_code == Exit.READY:
                return
        raise RuntimeError("the batch did not become ready")


def run_loop(home: Path, essays: Path) -> None:
    """What `huleedu run` does, one essay after the other, without Dagster."""
    installation = Installation.at(home)
    settings, ledger = installation.settings, installation.ledger
    lifecycle.register(ledger, BATCH, settings=settings.batch_settings, expected_essay_count=COUNT)
    sources = sources_of(essays, max_bytes=settings.max_upload_bytes)
    intake = installation.intake
    with intake.submission(BATCH) as submission:
        for source in sources:
            submission.receive(source.path, source.read())
    lifecycle.close(ledger, BATCH)
    extractor, speller = build_resources(settings)["extractor"].open(), CheapSpeller()
    versions = CodeVersions.of(extraction=extractor.version, spelling=speller.version)
    tools = Tools(installation.blobs, extractor, speller, versions)
    pipeline = EssayPipeline(ledger, tools, max_attempts=settings.max_attempts)
    with ledger.read() as tx:
        batch_settings = tx.batches.get(BATCH).registration.settings
        received = tx.essays.of_batch(BATCH)
    for essay in received:
        pipeline.process(batch_settings, essay)
    results.write_manifest(ledger, installation.blobs, BATCH)
    write_batch_report(ledger, installation.blobs, BATCH)
    results.release(ledger, BATCH)
    export_batch(ledger, installation.blobs, BATCH, settings.export_folder / BATCH)
    with redirect_stdout(io.StringIO()):
        print_json(installation.view(BATCH).model_dump(mode="json"))
    ledger.close()


@contextmanager
def _first_run(folder: Path) -> Iterator[Callable[[], object]]:
    home, essays = _prepared(folder)
    yield partial(run_command, home, essays)


@contextmanager
def _second_run(folder: Path) -> Iterator[Callable[[], object]]:
    home, essays = _prepared(folder)
    run_command(home, essays)
    yield partial(run_command, home, essays)


@contextmanager
def _bare_loop(folder: Path) -> Iterator[Callable[[], object]]:
    home, essays = _prepared(folder)
    yield partial(run_loop, home, essays)


def _prepared(folder: Path) -> tuple[Path, Path]:
    """A home whose databases are made, and a class beside it."""
    home, essays = folder / "home", folder / "essays"
    write_class(essays, COUNT)
    installation = Installation.at(home)
    installation.ledger.close()
    with DagsterHome(installation.settings).instance() as instance:
        instance.get_runs_count()
        instance.get_dynamic_partitions("batch")
        instance.all_instigator_state()
    return home, essays
