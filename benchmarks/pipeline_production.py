"""Many classes on Postgres and S3: sensors and runs against a bare loop over the same stores.

The bare loop is that of `pipeline-30`: the functions that the assets call (`Submission.receive`,
`EssayPipeline.process`, `write_manifest`, `write_batch_report`, `release`), called one batch after
the other, with as many threads for the essays of a batch as a run has, with the same sandbox, and
with nothing of Dagster. Both sides do all of it: register, hand in, process, close.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from benchmarks.essays import write_class
from benchmarks.framework import Benchmark, Side
from benchmarks.servers import bucket_settings, postgres, warm_bucket
from huleedu_dagster.cli.common import Installation
from huleedu_dagster.definitions import build_resources
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.in_process import InProcessDaemon
from huleedu_dagster.pipeline import lifecycle, results
from huleedu_dagster.pipeline.essays import EssayPipeline
from huleedu_dagster.pipeline.sources import Source, sources_of
from huleedu_dagster.pipeline.stages import Tools
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.settings import Settings
from tests.support.fakes import CheapSpeller

ESSAYS_OF_A_BATCH = 50
_MOST_TICKS = 20
_TARGET = 0.5
_SCOPE = (
    "both sides register, hand in, store, extract in the sandbox, validate, check spelling with a "
    "cheap speller, record, write manifest and report and release, with as many essays of a batch "
    "at the same time; Postgres syncs and is reached by TCP with a password, SeaweedFS keeps its "
    "data in memory; the subject also loads the definitions, ticks all sensors and executes the "
    "runs in process with Dagster's events; imports, the generated files and making the databases "
    "are not timed; CPU includes the servers and the sandbox"
)


def benchmarks() -> list[Benchmark]:
    """The benchmarks of production's stores."""
    # Of a few classes, what is done once (definitions, ticks) is a large part: no target.
    return [_benchmark(4, rounds=3), _benchmark(20, rounds=3, target=_TARGET)]


def _benchmark(batches: int, *, rounds: int, target: float | None = None) -> Benchmark:
    count = batches * ESSAYS_OF_A_BATCH
    label = f"{count} essays in {batches} batches on Postgres and S3"
    return Benchmark(
        name=f"pipeline-{count}",
        subject=Side(f"{label}: sensors and runs", partial(_case, _with_dagster, batches)),
        baseline=Side(f"{label}: a bare loop, no Dagster", partial(_case, _bare_loop, batches)),
        note=f"{_SCOPE}; {count} by `subject_seconds` is essays a second",
        rounds=rounds,
        target=target,
    )


@contextmanager
def _case(
    work: Callable[[list[str], list[Source]], None], batches: int, folder: Path
) -> Iterator[Callable[[], None]]:
    """Servers, databases and a class, which every batch is handed."""
    names = [f"class-{number}" for number in range(1, batches + 1)]
    home, essays = folder / "home", folder / "essays"
    write_class(essays, ESSAYS_OF_A_BATCH)
    with postgres("ledger", "dagster") as (ledger, dagster):
        settings = {
            "HULEEDU_HOME": str(home),
            "HULEEDU_LEDGER_URL": ledger,
            "HULEEDU_DAGSTER_DATABASE_URL": dagster,
            **bucket_settings(folder),
        }
        with mock.patch.dict(os.environ, settings):
            _prepare()
            sources = sources_of(essays, max_bytes=Settings().max_upload_bytes)
            yield partial(work, names, sources)


def _prepare() -> None:
    """Make all tables, and what an instance and a bucket make once."""
    installation = Installation(Settings())
    installation.ledger.close()
    warm_bucket(installation.settings)
    with DagsterHome(installation.settings).instance() as instance:
        instance.get_runs_count()
        instance.get_dynamic_partitions("batch")
        instance.all_instigator_state()
    # Readers are imported by the first file that its workers get.
    build_resources(installation.settings)["extractor"].open().extract(b"warm", ".txt")


def _with_dagster(names: list[str], sources: list[Source]) -> None:
    installation = Installation(Settings())
    _hand_in(installation, names, sources)
    with (
        DagsterHome(installation.settings).instance() as instance,
        InProcessDaemon(instance, module="benchmarks.definitions") as daemon,
    ):
        for _ in range(_MOST_TICKS):
            daemon.tick()
            if all(installation.view(it).status is BatchStatus.READY for it in names):
                break
        else:
            raise RuntimeError("a batch did not become ready")
    installation.ledger.close()


def _bare_loop(names: list[str], sources: list[Source]) -> None:
    installation = Installation(Settings())
    settings, ledger, blobs = installation.settings, installation.ledger, installation.blobs
    _hand_in(installation, names, sources)
    extractor, speller = build_resources(settings)["extractor"].open(), CheapSpeller()
    versions = CodeVersions.of(extraction=extractor.version, spelling=speller.version)
    tools = Tools(blobs, extractor, speller, versions)
    pipeline = EssayPipeline(ledger, tools, max_attempts=settings.max_attempts)
    with ThreadPoolExecutor(settings.extraction_workers) as threads:
        for name in names:
            with ledger.read() as tx:
                batch_settings = tx.batches.get(name).registration.settings
                essays = tx.essays.of_batch(name)
            list(threads.map(partial(pipeline.process, batch_settings), essays))
            results.write_manifest(ledger, blobs, name)
            write_batch_report(ledger, blobs, name)
            results.release(ledger, name)
    if any(installation.view(it).status is not BatchStatus.READY for it in names):
        raise RuntimeError("a batch did not become ready")
    ledger.close()


def _hand_in(installation: Installation, names: list[str], sources: list[Source]) -> None:
    for name in names:
        lifecycle.register(
            installation.ledger,
            name,
            settings=installation.settings.batch_settings,
            expected_essay_count=len(sources),
        )
        with installation.intake.submission(name) as submission:
            for source in sources:
                submission.receive(source.path, source.read())
