"""The framework of the benchmarks: turns, medians, ratios and the JSON. Nothing is timed here."""

import json
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

FIELDS = [
    "benchmark",
    "subject",
    "baseline",
    "ratio",
    "target",
    "met",
    "subject_seconds",
    "baseline_seconds",
    "subject_cpu_seconds",
    "baseline_cpu_seconds",
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


def test_the_result_is_one_json_object_with_these_fields() -> None:
    found = run(trivial([], rounds=1)).as_json()
    assert list(json.loads(json.dumps(found))) == FIELDS
    assert (found["benchmark"], found["subject"], found["baseline"]) == ("trivial", "new", "old")
    assert isinstance(found["peak_mb"], float)
    assert found["peak_mb"] > 1


def test_a_figure_is_the_median_of_all_rounds_with_that_of_its_parts() -> None:
    found = run(figure("latency", 12.0, 4.0, 2.0)).as_json()
    assert isinstance(found.pop("load_average"), float)
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
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(it)["benchmark"] for it in lines] == registry().names
    assert command.main(["other"]) == 2
    assert "pipeline-30" in capsys.readouterr().err


def test_a_generated_class_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        write_class(tmp_path / name, 5)
        files = sorted((tmp_path / name).rglob("essay.*"))
        contents.append([(it.relative_to(tmp_path / name), it.read_bytes()) for it in files])
    assert contents[0] == contents[1]
    assert [path.suffix for path, _ in contents[0]] == [".docx", ".odt", ".pdf", ".txt", ".docx"]
