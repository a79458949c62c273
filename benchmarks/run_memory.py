"""Memory of one run by how many essays it has: a process of its own for each run."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.framework import Figure, Sample, own_peak_mb
from huleedu_dagster.cli.common import Installation
from huleedu_dagster.jobs import ESSAY_JOB
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.partitions import BATCH_DIMENSION, ESSAY_DIMENSION, cell_key
from huleedu_dagster.pipeline import lifecycle
from tests.factory.documents import docx_bytes

_FEW, _MANY, _BATCHES = 10, 99, 5
_TARGET_MB = 20
_PARAGRAPH = "The class went to the museum on Friday and everyone liked teh old ships very much. "
_Range = tuple[str, str, str, str]


def benchmarks() -> list[Figure]:
    """The figure of a run's memory."""
    return [
        Figure(
            name="run-memory",
            subject=f"memory that a run of {_MANY} essays needs beyond one of {_FEW}",
            unit="MB",
            target=_TARGET_MB,
            case=_case,
            note=(
                "most memory of the process that executes the run, without that of the workers "
                "that read files; essays of equal size, the real speller, SQLite; parts: each run, "
                f"the last one over all {_BATCHES * _MANY} essays of {_BATCHES} batches, as a "
                "backfill makes it"
            ),
            rounds=3,
        )
    ]


@contextmanager
def _case(folder: Path) -> Iterator[Callable[[], Sample]]:
    installation = Installation.at(folder / "home")
    batches = {"few": _FEW, **{f"many-{number}": _MANY for number in range(1, _BATCHES + 1)}}
    for name, count in batches.items():
        _hand_in(installation, name, count)
    with DagsterHome(installation.settings).instance() as instance:
        instance.add_dynamic_partitions(BATCH_DIMENSION, list(batches))
        slots = [f"e{number:03}" for number in range(1, _MANY + 1)]
        instance.add_dynamic_partitions(ESSAY_DIMENSION, slots)
    ranges: dict[str, _Range] = {
        f"essays_{_FEW}": ("few", "e001", "few", f"e{_FEW:03}"),
        f"essays_{_MANY}": ("many-1", "e001", "many-1", f"e{_MANY:03}"),
        f"essays_{_BATCHES * _MANY}": ("many-1", "e001", f"many-{_BATCHES}", f"e{_MANY:03}"),
    }

    def measure() -> Sample:
        found = {name: _run(installation.settings.home, it) for name, it in ranges.items()}
        parts = {name: peak for name, (peak, _) in found.items()}
        more = parts[f"essays_{_MANY}"] - parts[f"essays_{_FEW}"]
        return Sample(more, sum(cpu for _, cpu in found.values()), parts)

    yield measure
    installation.ledger.close()


def _hand_in(installation: Installation, name: str, count: int) -> None:
    lifecycle.register(
        installation.ledger,
        name,
        settings=installation.settings.batch_settings,
        expected_essay_count=count,
    )
    with installation.intake.submission(name) as submission:
        for number in range(1, count + 1):
            text = [f"{_PARAGRAPH * 4} It is number {number:03}."] * 5
            submission.receive(f"student-{number}/essay.docx", docx_bytes(text))


def _run(home: Path, cells: _Range) -> tuple[float, float]:
    """Compute a range of cells in a process of its own; its memory in MB and its time."""
    command = [sys.executable, "-m", "benchmarks.run_memory", str(home), *cells]
    # Elsewhere is no such package: a benchmark runs in an empty folder.
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    peak, cpu = done.stdout.split()[-2:]
    return float(peak), float(cpu)


def main(arguments: Sequence[str]) -> None:
    """Compute a range of cells and print the most memory of this process, MB, and its time."""
    home, first, first_slot, last, last_slot = arguments
    installation = Installation.at(Path(home))
    from huleedu_dagster.definitions import defs

    with DagsterHome(installation.settings).instance() as instance:
        result = (
            defs()
            .get_repository_def()
            .get_job(ESSAY_JOB)
            .execute_in_process(
                instance=instance,
                run_config={"ops": {"essays": {"config": {"force": True}}}},
                tags={
                    "dagster/asset_partition_range_start": str(cell_key(first, first_slot)),
                    "dagster/asset_partition_range_end": str(cell_key(last, last_slot)),
                },
            )
        )
    if not result.success:
        sys.exit("the run failed")
    print(own_peak_mb(), sum(psutil.Process().cpu_times()[:4]))


if __name__ == "__main__":
    main(sys.argv[1:])
