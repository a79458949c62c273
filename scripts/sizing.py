"""Computes the tables of docs/sizing.md from its inputs, `docs/sizing.json`.

    python -m scripts.sizing            # writes them into the page
    python -m scripts.sizing --check    # says whether the page has them

An input is measured (`scripts/measure_sizing.py`, `make bench`) or assumed; all can be replaced.
"""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DOCUMENTS = Path(__file__).parents[1] / "docs"
INPUTS = DOCUMENTS / "sizing.json"
PAGE = DOCUMENTS / "sizing.md"
_GIGA = 1e9
_DAY = 86_400
_HOUR = 3_600
_NOT_YET = "not measured yet"

Row = tuple[str, str, str]
"""What, how much with its unit, and from what it follows."""


def results(given: Mapping[str, float]) -> list[Row]:
    """What follows from the inputs.

    Args:
        given: Values of the inputs, by name.
    """
    return [
        *_work(given),
        *_end_to_end(given),
        *_database(given),
        *_processes(given),
        *_disk(given),
        *_partitions(given),
    ]


def _essay_cpu(given: Mapping[str, float]) -> float:
    """Seconds of a core for one essay, its part of the run's start included."""
    return given["cpu_class"] / given["class_size"] + given["cpu_essay"]


def _per_day(given: Mapping[str, float]) -> float:
    return given["essays_per_year"] * given["versions"] / given["school_days"]


def _peak_per_second(given: Mapping[str, float]) -> float:
    return _per_day(given) / given["hours_per_day"] / _HOUR * given["peak"]


def _work(given: Mapping[str, float]) -> list[Row]:
    cpu = _essay_cpu(given)
    cores = _peak_per_second(given) * cpu / given["utilisation"]
    return [
        ("CPU of an essay", f"{cpu:.3f} s", "`cpu_class` / `class_size` + `cpu_essay`"),
        ("Essays an hour on one core", _count(_HOUR / cpu), "3,600 s / CPU of an essay"),
        (
            "Essays on a school day",
            _count(_per_day(given)),
            "`essays_per_year` × `versions` / `school_days`",
        ),
        (
            "Essays a second in the busiest hour",
            f"{_peak_per_second(given):.1f}",
            "of a day / `hours_per_day` × `peak`",
        ),
        (
            "Cores for runs in the busiest hour",
            _count(math.ceil(cores)),
            "of a second × CPU / `utilisation`",
        ),
    ]


def _end_to_end(given: Mapping[str, float]) -> list[Row]:
    found = []
    for name, essays in (("pipeline_1000", 1_000), ("queue_200", 200 * 30)):
        measured = _count(essays / given[name] * _HOUR) if name in given else _NOT_YET
        found.append((f"Essays an hour, as timed by `{name}`", measured, f"{essays:,} / `{name}`"))
    return found


def _database(given: Mapping[str, float]) -> list[Row]:
    peak = _peak_per_second(given)
    year = given["essays_per_year"] * given["versions"]
    kept = year * given["kept_days"] / 365
    return [
        (
            "Cores for Postgres in the busiest hour",
            f"{peak * given['cpu_database']:.2f}",
            "of a second × `cpu_database`",
        ),
        (
            "Transactions a second in the busiest hour",
            _count(peak * given["transactions"] + given["rest_transactions"]),
            "of a second × `transactions` + `rest_transactions`",
        ),
        (
            "Write-ahead log of a school day",
            f"{(_per_day(given) * given['log'] + given['rest_log'] * _DAY) / _GIGA:.1f} GB",
            "of a day × `log` + 86,400 s × `rest_log`",
        ),
        (
            "Ledger, a year",
            f"{year * given['ledger_bytes'] / _GIGA:.0f} GB",
            "of a year × `ledger_bytes`",
        ),
        (
            "Rows of the ledger, a year",
            _count(year * given["ledger_rows"]),
            "of a year × `ledger_rows`",
        ),
        (
            "Dagster's tables",
            f"{kept * given['dagster_bytes'] / _GIGA:.0f} GB",
            "of `kept_days` × `dagster_bytes`",
        ),
        (
            "Rows of Dagster's tables",
            _count(kept * given["dagster_rows"]),
            "of `kept_days` × `dagster_rows`",
        ),
    ]


def _processes(given: Mapping[str, float]) -> list[Row]:
    # As many as may be at work at the same time, whether they are needed or not.
    runs = given["max_runs"]
    parts = given["intakes"] + given["web_servers"] + 2
    each = given["ledger_connections"] + given["dagster_connections"]
    memory = (
        given["intakes"] * given["memory_intake"]
        + given["web_servers"] * given["memory_web_server"]
        + given["memory_daemon"]
        + given["memory_code_server"]
        + runs * given["memory_run"]
    )
    return [
        (
            "Connections to Postgres, at most",
            _count((parts + runs) * each),
            "all processes, `max_runs` among them × (`ledger_connections` + `dagster_connections`)",
        ),
        (
            "Memory of all processes",
            f"{memory / 1_000:.1f} GB",
            "`max_runs` × `memory_run` and so on; readers of files come on top",
        ),
        (
            "Memory that readers of files may take, at most",
            f"{runs * given['readers'] * given['reader_limit'] / _GIGA:.0f} GB",
            "`max_runs` × `readers` × `reader_limit`",
        ),
    ]


def _disk(given: Mapping[str, float]) -> list[Row]:
    year = given["essays_per_year"] * given["versions"]
    return [
        (
            "Blobs, a year",
            f"{year * (given['raw_bytes'] + given['derived_bytes']) / 1e12:.2f} TB",
            "of a year × (`raw_bytes` + `derived_bytes`)",
        ),
        (
            "Objects in the bucket, a year",
            _count(year * given["objects"]),
            "of a year × `objects`",
        ),
    ]


def _partitions(given: Mapping[str, float]) -> list[Row]:
    batches = given["essays_per_year"] / given["class_size"]
    live = given["partition_limit"] / given["slots"]
    days = live / (batches / given["school_days"])
    return [
        (
            "Batches on a school day",
            _count(batches / given["school_days"]),
            "essays / `class_size`",
        ),
        (
            "Batches with partitions at the same time, at most",
            _count(live),
            "`partition_limit` / `slots`",
        ),
        ("School days until then", f"{days:.1f}", "the latter / the former"),
    ]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def tables(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The page's tables in Markdown, by the name of their place."""
    given = {name: float(it["value"]) for name, it in inputs.items() if it["value"] is not None}
    rows = [(f"`{name}`", _value(it), it["from"]) for name, it in inputs.items()]
    return {
        "inputs": _table(("input", "value", "where it is from"), rows),
        "results": _table(("what", "how much", "computed from"), results(given)),
    }


def _value(given: Mapping[str, Any]) -> str:
    value = given["value"]
    return _NOT_YET if value is None else f"{value:,} {given['unit']}".strip()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(it)} |" for it in lines)


def filled(page: str, made: Mapping[str, str]) -> str:
    """A page with its tables in their places.

    Raises:
        ValueError: It has no such place.
    """
    for name, table in made.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(start)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{start}{table}\n{end}{after}"
    return page


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables into the page, or say that they are not in it.

    Args:
        arguments: The command line; the process's own if `None`.

    Returns:
        Exit code: 1 if the page is to be checked and is not as the inputs say.
    """
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    page = PAGE.read_text(encoding="utf-8")
    wanted = filled(page, tables(json.loads(INPUTS.read_text(encoding="utf-8"))))
    if check:
        print("as computed" if page == wanted else "not as computed: python -m scripts.sizing")
        return int(page != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
