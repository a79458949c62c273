"""How benchmarks are run: subject and baseline in turn, medians, one JSON object for each.

A benchmark compares two ways to the same result. Each round makes a fresh folder for each side,
prepares it untimed and then times one call; the sides take turns, and the one that begins changes
from round to round, so that a busy machine and warm caches touch both alike.

A figure has no other way to compare with: it is measured several times in one folder, against a
target.

`python -m benchmarks` gives each of them a process of its own, so that its memory is told and not
that of another one that ran before.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

ROUNDS = 5

Case = Callable[[Path], AbstractContextManager[Callable[[], object]]]
"""Prepares one side in an empty folder and gives the call that is timed."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a timed call gives back when another process did its work.

    Attributes:
        peak_mb: Most memory that the process which did the side's work ever held, MB.
    """

    peak_mb: float


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
        most_subject_seconds: What the subject may take, where that was decided.
        most_subject_cpu_seconds: The same of its processor time, which others do not change.
    """

    name: str
    subject: Side
    baseline: Side
    note: str
    rounds: int = ROUNDS
    target: float | None = None
    most_subject_seconds: float | None = None
    most_subject_cpu_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """One timed call.

    Attributes:
        wall: Seconds.
        cpu: User and system time of this process and of those it started, seconds.
        peak_mb: See `Elsewhere.peak_mb`; `None` if this process did the work, or several did.
    """

    wall: float
    cpu: float
    peak_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What one benchmark found; the field names are those of the JSON.

    Attributes:
        ratio: Baseline by subject, wall time: above 1 the subject is the quicker one.
        target: What the ratio should reach; `None` where nothing was decided.
        most_subject_seconds: What the subject may take; `None` where nothing was decided.
        most_subject_cpu_seconds: The same of its processor time.
        met: Whether all three are kept.
        subject_peak_mb: Most memory of the process that did the subject's work, MB; `None` unless
            the side has one of its own.
        baseline_peak_mb: The same of the baseline.
        peak_mb: Most memory, MB, that one process ever held for either side or what prepares it:
            this one or one of its children that ended.
    """

    benchmark: str
    subject: str
    baseline: str
    ratio: float
    target: float | None
    most_subject_seconds: float | None
    most_subject_cpu_seconds: float | None
    met: bool
    subject_seconds: float
    baseline_seconds: float
    subject_cpu_seconds: float
    baseline_cpu_seconds: float
    subject_peak_mb: float | None
    baseline_peak_mb: float | None
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
        cpu: User and system time of all processes that took part, servers too, seconds; the note
            says which are left out.
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
        unit: Of the value, its parts and the target: `s`, `ms` or `MB`; the note tells of parts
            that have another one.
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
        peak_mb: Most memory, MB, that one process ever held: this one or one of its children that
            ended; what is measured may run elsewhere.
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
    peak_mb: float
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
    subject_cpu_seconds = statistics.median(it.cpu for it in subject)
    ratio = float(f"{baseline_seconds / subject_seconds:.3g}")
    met = (
        (benchmark.target is None or ratio >= benchmark.target)
        and _is_within(subject_seconds, benchmark.most_subject_seconds)
        and _is_within(subject_cpu_seconds, benchmark.most_subject_cpu_seconds)
    )
    return Result(
        benchmark=benchmark.name,
        subject=benchmark.subject.label,
        baseline=benchmark.baseline.label,
        ratio=ratio,
        target=benchmark.target,
        most_subject_seconds=benchmark.most_subject_seconds,
        most_subject_cpu_seconds=benchmark.most_subject_cpu_seconds,
        met=met,
        subject_seconds=round(subject_seconds, 4),
        baseline_seconds=round(baseline_seconds, 4),
        subject_cpu_seconds=round(subject_cpu_seconds, 4),
        baseline_cpu_seconds=round(statistics.median(it.cpu for it in baseline), 4),
        subject_peak_mb=_most_mb(subject),
        baseline_peak_mb=_most_mb(baseline),
        peak_mb=round(peak_mb(), 1),
        note=f"{_of_how_many(len(subject), 'medians', ' rounds')}; {benchmark.note}",
    )


def _is_within(seconds: float, most: float | None) -> bool:
    return most is None or seconds <= most


def _most_mb(timings: list[Timing]) -> float | None:
    return max((round(it.peak_mb, 1) for it in timings if it.peak_mb is not None), default=None)


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
        peak_mb=round(peak_mb(), 1),
        parts={name: round(value, 2) for name, value in parts.items()},
        load_average=round(load, 2),
        note=f"{_of_how_many(len(samples), 'median', '')}; {figure.note}",
    )


def _of_how_many(count: int, name: str, what: str) -> str:
    return f"{name} of {count}{what}" if count > 1 else "measured once"


def peak_mb() -> float:
    """Most memory that this process or one of its ended children ever held, in MB."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    ended = children / 1e6 if sys.platform == "darwin" else children * 1024 / 1e6
    return max(own_peak_mb(), ended)


def own_peak_mb() -> float:
    """Most memory that this process ever held, in MB."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    # Of resource usage a new process inherits the peak of the one that started it.
    return peak_mb_of("self")


def peak_mb_of(process: int | str) -> float:
    """Most memory, in MB, that a process of Linux ever held; 0 if it has ended.

    Raises:
        OSError: There is none of this number.
    """
    status = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(it.split()[1]) * 1024 / 1e6 for it in status if it.startswith("VmHWM:")), 0.0)


def _time(case: Case) -> Timing:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, case(Path(folder)) as call:
        # Looking at all processes takes a while: before the wall clock, and after it.
        cpu = _cpu_seconds()
        wall = time.perf_counter()
        found = call()
        wall = time.perf_counter() - wall
        peak = found.peak_mb if isinstance(found, Elsewhere) else None
        return Timing(wall, _cpu_seconds() - cpu, peak)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(it.ru_utime + it.ru_stime for it in usages) + seconds_of_others()


def seconds_of_others() -> float:
    """User and system time, up to now, of all processes that this one started and that go on."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            # Of one that ended, the time is its parent's.
            seconds += sum(process.cpu_times()[:4])
    return seconds
