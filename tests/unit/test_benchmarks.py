"""The framework of the benchmarks: turns, medians, ratios and the JSON. Nothing is timed here."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks.essays import write_class
from benchmarks.framework import (
    Benchmark,
    Case,
    Elsewhere,
    Figure,
    FigureResult,
    Registry,
    Result,
    Sample,
    Side,
    Timing,
    run,
    summarise,
)
from benchmarks.registry import registry

ROOT = Path(__file__).parents[2]
FIELDS = [
    "benchmark",
    "subject",
    "baseline",
    "ratio",
    "target",
    "most_subject_seconds",
    "most_subject_cpu_seconds",
    "met",
    "subject_seconds",
    "baseline_seconds",
    "subject_cpu_seconds",
    "baseline_cpu_seconds",
    "subject_peak_mb",
    "baseline_peak_mb",
    "peak_mb",
    "note",
]


def noting(name: str, seen: list[str]) -> Case:
    """A side that notes when it is prepared, called and put away."""

    @contextmanager
    def case(folder: Path) -> Iterator[Callable[[], object]]:
        assert list(folder.iterdir()) == []
        (folder / "used").touch()
        seen.append(f"prepare {name}")
        yield lambda: seen.append(f"call {name}")
        seen.append(f"end {name}")

    return case


def trivial(seen: list[str], *, rounds: int = 5) -> Benchmark:
    return Benchmark(
        "trivial",
        subject=Side("new", noting("new", seen)),
        baseline=Side("old", noting("old", seen)),
        note="nothing is done",
        rounds=rounds,
    )


def figure(name: str, *values: float) -> Figure:
    """A figure that finds these values, half of each waiting."""
    left = iter(values)

    @contextmanager
    def case(folder: Path) -> Iterator[Callable[[], Sample]]:
        assert list(folder.iterdir()) == []

        def measure() -> Sample:
            value = next(left)
            return Sample(value, value / 10, {"wait": value / 2, "work": value / 2})

        yield measure

    return Figure(name, "a wait", "s", 15, case, "nothing is done", rounds=len(values))


def test_each_round_prepares_both_sides_afresh_and_they_take_turns_in_beginning() -> None:
    seen: list[str] = []
    run(trivial(seen, rounds=3))
    calls = [it.removeprefix("call ") for it in seen if it.startswith("call")]
    # The first pair only warms up.
    assert calls == ["old", "new", "new", "old", "old", "new", "new", "old"]
    assert seen[:3] == ["prepare old", "call old", "end old"]


def test_medians_and_the_ratio_of_baseline_to_subject() -> None:
    subject = [Timing(wall, cpu) for wall, cpu in ((9.0, 0.1), (2.0, 0.3), (1.0, 0.2))]
    baseline = [Timing(wall, cpu) for wall, cpu in ((0.1, 5.0), (8.0, 7.0), (4.0, 6.0))]
    found = summarise(trivial([]), subject, baseline)
    assert (found.subject_seconds, found.baseline_seconds, found.ratio) == (2.0, 4.0, 2.0)
    assert (found.subject_cpu_seconds, found.baseline_cpu_seconds) == (0.2, 6.0)
    for target, met in ((None, True), (2.0, True), (2.1, False)):
        again = summarise(replace(trivial([]), target=target), subject, baseline)
        assert (again.target, again.met) == (target, met)
    assert found.note == "medians of 3 rounds; nothing is done"
    assert (
        summarise(trivial([]), subject[:1], baseline[:1]).note == "measured once; nothing is done"
    )


@pytest.mark.parametrize(
    ("ratio", "seconds", "cpu_seconds", "met"),
    [
        (2.0, 2.0, 0.2, True),
        (2.1, 2.0, 0.2, False),
        (2.0, 1.9, 0.2, False),
        (2.0, 2.0, 0.1, False),
        (None, 1.9, None, False),
        (None, None, 0.1, False),
    ],
)
def test_a_benchmark_is_met_when_its_ratio_and_its_subject_are(
    ratio: float | None, seconds: float | None, cpu_seconds: float | None, met: bool
) -> None:
    wanted = replace(
        trivial([]),
        target=ratio,
        most_subject_seconds=seconds,
        most_subject_cpu_seconds=cpu_seconds,
    )
    found = summarise(wanted, [Timing(2.0, 0.2)], [Timing(4.0, 9.0)])
    assert (found.most_subject_seconds, found.most_subject_cpu_seconds) == (seconds, cpu_seconds)
    assert found.met == met


def test_the_processor_time_of_a_process_that_goes_on_is_told() -> None:
    code = (
        "import sys, time\n"
        "for line in sys.stdin:\n"
        "    until = time.process_time() + 0.5\n"
        "    while time.process_time() < until: pass\n"
        "    print(flush=True)"
    )

    @contextmanager
    def case(_: Path) -> Iterator[Callable[[], object]]:
        command = [sys.executable, "-c", code]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            asked, answer = process.stdin, process.stdout

            def ask() -> None:
                asked.write(b"work\n")
                asked.flush()
                answer.readline()

            yield ask
            asked.close()

    found = run(replace(trivial([], rounds=1), subject=Side("elsewhere", case)))
    assert isinstance(found, Result)
    assert found.subject_cpu_seconds > 0.4


def test_the_memory_of_a_side_with_a_process_of_its_own_is_told_by_side() -> None:
    @contextmanager
    def case(_: Path) -> Iterator[Callable[[], object]]:
        yield lambda: Elsewhere(peak_mb=250.04)

    found = run(replace(trivial([], rounds=2), subject=Side("elsewhere", case)))
    assert isinstance(found, Result)
    assert (found.subject_peak_mb, found.baseline_peak_mb) == (250.0, None)


def test_the_peak_of_memory_is_that_of_the_process_and_not_of_the_one_that_started_it() -> None:
    code = "from benchmarks.framework import peak_mb; print(peak_mb())"
    held = bytearray(300_000_000)
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    )
    assert len(held) / 1e6 > float(done.stdout) > 1


def test_the_result_is_one_json_object_with_these_fields() -> None:
    found = run(trivial([], rounds=1)).as_json()
    assert list(json.loads(json.dumps(found))) == FIELDS
    assert (found["benchmark"], found["subject"], found["baseline"]) == ("trivial", "new", "old")
    assert isinstance(found["peak_mb"], float)
    assert found["peak_mb"] > 1


def test_a_figure_is_the_median_of_all_rounds_with_that_of_its_parts() -> None:
    found = run(figure("latency", 12.0, 4.0, 2.0)).as_json()
    assert isinstance(found.pop("load_average"), float)
    assert float(str(found.pop("peak_mb"))) > 1
    assert json.loads(json.dumps(found)) == {
        "benchmark": "latency",
        "subject": "a wait",
        "unit": "s",
        "target": 15,
        "median": 4.0,
        "met": True,
        "values": [12.0, 4.0, 2.0],
        "cpu_seconds": 0.4,
        "parts": {"wait": 2.0, "work": 2.0},
        "note": "median of 3; nothing is done",
    }


def test_a_name_is_given_once_and_an_unknown_one_is_refused() -> None:
    found = Registry()
    found.add(trivial([]))
    with pytest.raises(ValueError, match="two benchmarks trivial"):
        found.add(trivial([]))
    with pytest.raises(LookupError, match="no benchmark other; there are trivial"):
        found.chosen(["other"])
    assert [it.name for it in found.chosen([])] == ["trivial"]


def test_the_command_prints_one_line_for_each_benchmark(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def at_once(benchmark: Benchmark | Figure) -> Result | FigureResult:
        if isinstance(benchmark, Figure):
            return run(figure(benchmark.name, 1.0))
        return summarise(benchmark, [Timing(1.0, 1.0)], [Timing(2.0, 2.0)])

    monkeypatch.setattr(command, "run", at_once)
    for name in registry().names:
        assert command.main([name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(it)["benchmark"] for it in lines] == registry().names
    assert command.main(["other"]) == 2
    assert "pipeline-30" in capsys.readouterr().err


def test_each_of_several_benchmarks_has_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[str] = []

    def start(words: list[str], *, cwd: Path, check: bool) -> "subprocess.CompletedProcess[bytes]":
        assert words[:-1] == [sys.executable, "-m", "benchmarks"]
        assert cwd == ROOT
        started.append(words[-1])
        return subprocess.CompletedProcess(words, -9 if words[-1] == "rerun-30" else 0)

    monkeypatch.setattr(subprocess, "run", start)
    assert command.main(["pipeline-30", "run-memory"]) == 0
    assert started == ["pipeline-30", "run-memory"]
    started.clear()
    # One that is killed does not keep the others from being run.
    assert command.main([]) == 1
    assert started == registry().names


def test_a_generated_class_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        write_class(tmp_path / name, 5)
        files = sorted((tmp_path / name).rglob("essay.*"))
        contents.append([(it.relative_to(tmp_path / name), it.read_bytes()) for it in files])
    assert contents[0] == contents[1]
    assert [path.suffix for path, _ in contents[0]] == [".docx", ".odt", ".pdf", ".txt", ".docx"]
