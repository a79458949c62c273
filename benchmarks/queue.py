"""Many batches queued at once: what the processes of an installation need for them.

`huleedu up` with ledger and Dagster on Postgres finds all batches handed in; its daemon, code
server and run workers do the rest. Nothing is faked: the speller is the real one, every run has a
process of its own, and at the end every batch is looked at.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest import mock

import psutil

from benchmarks.essays import write_class
from benchmarks.framework import Figure, Sample, peak_mb_of, seconds_of_others
from benchmarks.running import Running, running
from benchmarks.servers import postgres
from huleedu_dagster.cli.common import Installation
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.pipeline.sources import sources_of

ESSAYS_OF_A_BATCH = 30
_TARGET_MB = 400
_POLL_SECONDS = 0.5
_LONGEST_SECONDS = 3_600
_PARTS = {
    "dagster._daemon": "daemon",
    "dagster_webserver": "web_server",
    "huleedu_dagster.intake": "intake",
}


def benchmarks() -> list[Figure]:
    """The figures of queues."""
    return [_figure(10), _figure(200)]


def _figure(batches: int) -> Figure:
    count = batches * ESSAYS_OF_A_BATCH
    return Figure(
        name=f"queue-{batches}",
        subject=f"the daemon's most memory while {batches} batches of {ESSAYS_OF_A_BATCH} are done",
        unit="MB",
        target=_TARGET_MB,
        case=partial(_case, batches),
        note=(
            f"{count} essays handed in before `huleedu up` starts, with default settings and the "
            "ledger and Dagster on Postgres that syncs; until every batch is released, looked at "
            "one by one; parts: most memory of the other processes in MB, seconds from the "
            "moment all parts are ready until all and until half of the batches are reported, "
            "essays a second; CPU of all processes, Postgres too; no median, as 200 batches take "
            "a quarter of an hour"
        ),
        rounds=1,
    )


@contextmanager
def _case(batches: int, folder: Path) -> Iterator[Callable[[], Sample]]:
    with postgres("ledger", "dagster") as (ledger, dagster):
        settings = {
            "HULEEDU_HOME": str(folder / "home"),
            "HULEEDU_LEDGER_URL": ledger,
            "HULEEDU_DAGSTER_DATABASE_URL": dagster,
        }
        with mock.patch.dict(os.environ, settings):
            installation = Installation.at(folder / "home")
            with DagsterHome(installation.settings).instance() as instance:
                instance.get_runs_count()
            names = [f"class-{number:03}" for number in range(1, batches + 1)]
            _hand_in(installation, names, folder / "essays")
            yield partial(_measure, installation, names)
            installation.ledger.close()


def _hand_in(installation: Installation, names: list[str], essays: Path) -> None:
    write_class(essays, ESSAYS_OF_A_BATCH)
    sources = sources_of(essays, max_bytes=installation.settings.max_upload_bytes)
    files = [(source.path, source.read()) for source in sources]
    for name in names:
        lifecycle.register(
            installation.ledger,
            name,
            settings=installation.settings.batch_settings,
            expected_essay_count=ESSAYS_OF_A_BATCH,
        )
        with installation.intake.submission(name) as submission:
            for path, data in files:
                submission.receive(path, data)


def _measure(installation: Installation, names: list[str]) -> Sample:
    cpu = seconds_of_others()
    with running(installation.settings.home) as up:
        peaks, start, began = _Peaks(up), time.monotonic(), datetime.now(UTC)
        while not _is_done(installation, len(names)):
            peaks.look()
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - start > _LONGEST_SECONDS:
                raise RuntimeError("the batches are not done")
        seconds = time.monotonic() - start
        peaks.look()
        used = up.cpu_seconds()
    _check(installation, names)
    with installation.ledger.read() as tx:
        reported = sorted(it.reported_at for it in tx.batches.all() if it.reported_at is not None)
    more = {
        "seconds": seconds,
        "seconds_to_half_of_batches": (reported[len(reported) // 2] - began).total_seconds(),
        "essays_a_second": len(names) * ESSAYS_OF_A_BATCH / seconds,
    }
    others = {f"{name}_mb": most for name, most in sorted(peaks.most.items()) if name != "daemon"}
    # The servers of the databases are not children of `up`.
    return Sample(peaks.most["daemon"], used + seconds_of_others() - cpu, {**others, **more})


@dataclass(slots=True)
class _Peaks:
    """Most memory of the processes of an installation, MB, by what they are."""

    up: Running
    most: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Look at all that run now."""
        server = psutil.Process(self.up.pid)
        for process in server.children(recursive=True):
            with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                name = _part(process)
                peak = peak_mb_of(process.pid)
                self.most[name] = max(self.most.get(name, 0.0), peak)


def _part(process: psutil.Process) -> str:
    words = process.cmdline()
    if "execute_run" in words or "multiprocessing" in " ".join(words):
        return "run"
    if "grpc" in words:
        return "code_server"
    return next((part for module, part in _PARTS.items() if module in words), "others")


def _is_done(installation: Installation, batches: int) -> bool:
    with installation.ledger.read() as tx:
        found = tx.batches.page(limit=batches)
        # Reported, not released: what went wrong is looked at, not waited for.
        return all(it.reported_fingerprint is not None for it in found)


def _check(installation: Installation, names: list[str]) -> None:
    """Every batch is ready with all its essays, released once, with one event of each."""
    views = [installation.view(name) for name in names]
    wrong = [it for it in views if (it.status, it.ready) != (BatchStatus.READY, ESSAYS_OF_A_BATCH)]
    with installation.ledger.read() as tx:
        events = Counter(it["event_type"] for _, it in tx.outbox.envelopes())
    expected = {
        "huleedu.batch.essays.ready.v1": len(names),
        "huleedu.spellcheck.essay.completed.v1": len(names) * ESSAYS_OF_A_BATCH,
    }
    if wrong or {name: events[name] for name in expected} != expected:
        raise RuntimeError(f"{len(wrong)} of {len(names)} batches are not as they should be")
