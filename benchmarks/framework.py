"""How benchmarks are run: subject and baseline in turn, medians, one JSON object for each.

A benchmark compares two ways to the same result. Each round makes a fresh folder for each side,
prepares it untimed and then times one call; the sides take turns, and the one that begins changes
from round to round, so that a busy machine and warm caches touch both alike.

A figure has no other way to compare with: it is measured several times in one folder, against a
target.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

ROUNDS = 5

Case = Callable[[Path], AbstractContextManager[Callable[[], object]]]
"""Prepares one side in an empty folder and gives the call that is timed."""


@dataclass(frozen=True, slots=True)
class MoreCpu:
    """What a timed call gives back when a process that goes on worked for it.

    Attributes:
        seconds: User and system time of that process during the call.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison.

    Attributes:
        label: What it is, for people.
        case: How it is prepared and what is timed.
    """

    label: str
    case: Case


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A named comparison.

    Attributes:
        note: What is timed and what is not.
        rounds: Timed rounds after one that only warms up.
        target: What the ratio should reach, where that was decided.
    """

    name: str
    subject: Side
    baseline: Side
    note: str
    rounds: int = ROUNDS
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """One timed call, in seconds; `cpu` is user and system time with that of ended children."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found; the field names are those of the JSON.

    Attributes:
        ratio: Baseline by subject, wall time: above 1 the subject is the quicker one.
        target: What the ratio should reach; `None` where nothing was decided.
        met: Whether it does.
        peak_mb: Most memory that this process or one of its children ever held, in MB.
    """

    benchmark: str
    subject: str
    baseline: str
    ratio: float
    target: float | None
    met: bool
    subject_seconds: float
    baseline_seconds: float
    subject_cpu_seconds: float
    baseline_cpu_seconds: float
    peak_mb: float
    note: str

    def as_json(self) -> dict[str, str | float | None]:
        """The JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of a figure.

    Attributes:
        value: What was measured, in the figure's unit.
        cpu: User and system time of all processes that took part, seconds.
        parts: What the value is made of, in its unit.
    """

    value: float
    cpu: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A named figure that should not be above a target.

    Attributes:
        subject: What is measured, for people.
        unit: Of the value, its parts and the target: `s` or `MB`.
        target: What the median should stay under.
        case: Prepares an empty folder and gives the call that measures once.
        note: What is measured and what is not.
        rounds: How often it is measured; the first is as good as any other.
    """

    name: str
    subject: str
    unit: str
    target: float
    case: Callable[[Path], AbstractContextManager[Callable[[], Sample]]]
    note: str
    rounds: int = ROUNDS


@dataclass(frozen=True, slots=True)
class FigureResult:
    """What was measured for a figure; the field names are those of the JSON.

    Attributes:
        met: Whether the median stays under the target.
        values: All of them, in the order in which they were measured.
        cpu_seconds: Median.
        parts: Medians; they need not add up to the median of the whole.
        load_average: That of the machine in the minute before it began: was it idle?
    """

    benchmark: str
    subject: str
    unit: str
    target: float
    median: float
    met: bool
    values: list[float]
    cpu_seconds: float
    parts: dict[str, float]
    load_average: float
    note: str

    def as_json(self) -> dict[str, object]:
        """The JSON object."""
        return asdict(self)


class Registry:
    """The benchmarks and figures there are, by name."""

    def __init__(self) -> None:
        self._found: dict[str, Benchmark | Figure] = {}

    @property
    def names(self) -> list[str]:
        """All names, in the order in which they were added."""
        return list(self._found)

    def add(self, benchmark: Benchmark | Figure) -> None:
        """Add one.

        Raises:
            ValueError: There is one of this name.
        """
        if benchmark.name in self._found:
            raise ValueError(f"there are two benchmarks {benchmark.name}")
        self._found[benchmark.name] = benchmark

    def chosen(self, names: Iterable[str]) -> list[Benchmark | Figure]:
        """Those of these names, all if there is no name.

        Raises:
            LookupError: There is none of a name; the message lists those that there are.
        """
        wanted = list(names) or self.names
        unknown = [it for it in wanted if it not in self._found]
        if unknown:
            raise LookupError(
                f"there is no benchmark {', '.join(unknown)}; there are {', '.join(self.names)}"
            )
        return [self._found[it] for it in wanted]


def run(benchmark: Benchmark | Figure) -> Result | FigureResult:
    """Run one benchmark: a round to warm up, then the timed rounds; or measure a figure."""
    if isinstance(benchmark, Figure):
        return _measure(benchmark)
    subject: list[Timing] = []
    baseline: list[Timing] = []
    pairs = [(benchmark.subject, subject), (benchmark.baseline, baseline)]
    for number in range(benchmark.rounds + 1):
        for side, timings in pairs if number % 2 else reversed(pairs):
            timing = _time(side.case)
            if number > 0:
                timings.append(timing)
    return summarise(benchmark, subject, baseline)


def summarise(benchmark: Benchmark, subject: list[Timing], baseline: list[Timing]) -> Result:
    """The medians of both sides and their ratio."""
    subject_seconds = statistics.median(it.wall for it in subject)
    baseline_seconds = statistics.median(it.wall for it in baseline)
    ratio = float(f"{baseline_seconds / subject_seconds:.3g}")
    return Result(
        benchmark=benchmark.name,
        subject=benchmark.subject.label,
        baseline=benchmark.baseline.label,
        ratio=ratio,
        target=benchmark.target,
        met=benchmark.target is None or ratio >= benchmark.target,
        subject_seconds=round(subject_seconds, 4),
        baseline_seconds=round(baseline_seconds, 4),
        subject_cpu_seconds=round(statistics.median(it.cpu for it in subject), 4),
        baseline_cpu_seconds=round(statistics.median(it.cpu for it in baseline), 4),
        peak_mb=round(peak_mb(), 1),
        note=f"medians of {len(subject)} rounds; {benchmark.note}",
    )


def _measure(figure: Figure) -> FigureResult:
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, figure.case(Path(folder)) as call:
        samples = [call() for _ in range(figure.rounds)]
    names = samples[0].parts
    median = round(statistics.median(it.value for it in samples), 2)
    parts = {name: statistics.median(it.parts[name] for it in samples) for name in names}
    return FigureResult(
        benchmark=figure.name,
        subject=figure.subject,
        unit=figure.unit,
        target=figure.target,
        median=median,
        met=median < figure.target,
        values=[round(it.value, 2) for it in samples],
        cpu_seconds=round(statistics.median(it.cpu for it in samples), 2),
        parts={name: round(value, 2) for name, value in parts.items()},
        load_average=round(load, 2),
        note=f"median of {len(samples)}; {figure.note}",
    )


def peak_mb() -> float:
    """Most memory that this process or one of its ended children ever held, in MB."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peak = max(resource.getrusage(it).ru_maxrss for it in who)
    # Kilobytes on Linux, bytes on macOS.
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _time(case: Case) -> Timing:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, case(Path(folder)) as call:
        cpu, wall = _cpu_seconds(), time.perf_counter()
        found = call()
        wall = time.perf_counter() - wall
        more = found.seconds if isinstance(found, MoreCpu) else 0.0
        return Timing(wall, _cpu_seconds() - cpu + more)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(it.ru_utime + it.ru_stime for it in usages)
