"""Many batches at once: copies of one that real sensors and runs took through, on Postgres.

Every row that is about the batch is copied, in the ledger's database and in Dagster's; only what
identifies it is another: ids of batch, runs, uploads and events, and the numbers of rows. All else
is what runs wrote.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.support.postgres import postgres_database
from tests.support.world import GOOD, World

TEMPLATE_ENDING = "0000"
"""How the id of a batch that is copied ends; the ids of its copies end in other numbers."""
_CHUNK = 25
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_HEX = r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f])"
_POINTER = r'(?<="dagster/input_event_pointer/)(?P<asset>\w+)": "(?P<pointer>\d+)'

_RUNS = "SELECT run_id FROM run_tags WHERE key = 'huleedu/batch' AND value = '{batch}'"
_EVENTS = f"run_id IN ({_RUNS}) OR partition = '{{batch}}'"
_DAGSTER = {
    "dynamic_partitions": "partition = '{batch}'",
    "runs": f"run_id IN ({_RUNS})",
    "run_tags": f"run_id IN ({_RUNS})",
    "event_logs": _EVENTS,
    "asset_event_tags": f"event_id IN (SELECT id FROM event_logs WHERE {_EVENTS})",
    "asset_check_executions": f"run_id IN ({_RUNS})",
}
_OF_BATCH = "batch_id = '{batch}'"
_LEDGER = {
    "batches": _OF_BATCH,
    "uploads": _OF_BATCH,
    "essays": _OF_BATCH,
    "stage_outcomes": _OF_BATCH,
    "current_outcomes": _OF_BATCH,
    "outbox": _OF_BATCH,
    "batch_results": _OF_BATCH,
    "releases": _OF_BATCH,
    "actions": _OF_BATCH,
}
_NUMBERS = {
    ("event_logs", "id"): "event",
    ("asset_event_tags", "event_id"): "event",
    ("asset_check_executions", "evaluation_event_storage_id"): "event",
    ("asset_check_executions", "materialization_event_storage_id"): "event",
    ("stage_outcomes", "outcome_id"): "outcome",
    ("current_outcomes", "outcome_id"): "outcome",
}
"""Columns that hold the number of a row that others point to, and of which."""
_COUNTED = {"event": ("event_logs", "id"), "outcome": ("stage_outcomes", "outcome_id")}
_OWN_NUMBER = {"id", "seq", "action_id"}
_IDENTITIES = {
    "runs": ("run_id",),
    "uploads": ("upload_id", "correlation_id"),
    "batches": ("correlation_id",),
    "outbox": ("event_id", "data_hash"),
}

_Part = str | Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Shape:
    """A batch that is copied.

    Attributes:
        batch: Its id, with `TEMPLATE_ENDING`.
        essays: How many are handed in.
        expected: How many it expects: with more than are handed in it stays open.
    """

    batch: str
    essays: int
    expected: int


MIXED = (
    Shape("class-a-0000", essays=40, expected=40),
    Shape("class-b-0000", essays=10, expected=10),
    Shape("class-c-0000", essays=20, expected=20),
    Shape("class-d-0000", essays=10, expected=30),
)
"""Classes of several sizes, one of them open: 625 of each are 100,000 cells, half with an essay."""


@contextmanager
def world_on_postgres(home: Path) -> Iterator[World]:
    """An installation whose ledger and Dagster are in databases of their own on Postgres."""
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        postgres_database(migrated=True) as ledger,
        postgres_database(migrated=False) as dagster,
    ):
        monkeypatch.setenv("HULEEDU_LEDGER_URL", ledger)
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", dagster)
        with World(home, monkeypatch) as world:
            yield world


def take_through(world: World, shape: Shape) -> None:
    """Register a batch, hand in its essays and let sensors and runs do the rest."""
    world.register(shape.batch, expected=shape.expected)
    if shape.essays:
        texts = {f"student-{it}/essay.txt": f"{GOOD} Ship {it:02}." for it in range(shape.essays)}
        world.hand_in(shape.batch, {path: text.encode() for path, text in texts.items()})
    world.settle()


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one batch in a table, with the places where a copy differs."""

    name: str
    columns: tuple[str, ...]
    parts: tuple[_Part, ...]

    def rows(self, numbers: Sequence[int]) -> str:
        """The rows of these copies, as `COPY` reads them."""
        return "".join(it if isinstance(it, str) else it(k) for k in numbers for it in self.parts)


class Copier:
    """Copies batches of a world on Postgres."""

    def __init__(self, world: World) -> None:
        self._engines = {
            "ledger": sa.create_engine(world.settings.resolved_ledger_url),
            "dagster": sa.create_engine(world.settings.dagster_database_url),
        }

    def close(self) -> None:
        """Close the connections."""
        for engine in self._engines.values():
            engine.dispose()

    def copy(self, templates: Sequence[str], count: int, *, first: int = 1) -> None:
        """Copy each batch so many times; copies of all take turns.

        Args:
            templates: Batches that are done; their ids end in `TEMPLATE_ENDING`.
            count: Copies of each.
            first: Number of the first copy.
        """
        identities = {it: self._identities(it) for it in templates}
        for kind, tables in (("dagster", _DAGSTER), ("ledger", _LEDGER)):
            with self._engines[kind].begin() as connection:
                shifts = _shifts(connection, tables, templates, first)
                for name, where in tables.items():
                    found = [
                        _read(connection, name, where.format(batch=it), identities[it], shifts[it])
                        for it in templates
                    ]
                    for start in range(first, first + count, _CHUNK):
                        numbers = range(start, min(start + _CHUNK, first + count))
                        _write(connection, found, numbers)
                for table, column in _COUNTED.values():
                    if table in tables:
                        connection.exec_driver_sql(
                            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), "
                            f"(SELECT max({column}) FROM {table}))"
                        )
            with self._engines[kind].connect() as connection:
                again = connection.execution_options(isolation_level="AUTOCOMMIT")
                again.exec_driver_sql("VACUUM ANALYZE")

    def rows(self, batch: str) -> dict[str, list[str]]:
        """All rows about a batch, by table, as `COPY` writes them."""
        found: dict[str, list[str]] = {}
        for kind, tables in (("dagster", _DAGSTER), ("ledger", _LEDGER)):
            with self._engines[kind].connect() as connection:
                for name, where in tables.items():
                    columns = _columns(connection, name)
                    found[name] = _dump(connection, name, columns, where.format(batch=batch))
        return found

    def counts(self) -> dict[str, int]:
        """Number of rows of every table of both databases."""
        found: dict[str, int] = {}
        for kind, engine in self._engines.items():
            with engine.connect() as connection:
                for name in sa.inspect(connection).get_table_names():
                    query = f'SELECT count(*) FROM "{name}"'
                    found[f"{kind} {name}"] = connection.exec_driver_sql(query).scalar_one()
        return found

    def _identities(self, batch: str) -> set[str]:
        found: set[str] = set()
        for kind, tables in (("dagster", _DAGSTER), ("ledger", _LEDGER)):
            with self._engines[kind].connect() as connection:
                for name in tables.keys() & _IDENTITIES.keys():
                    columns = ", ".join(_IDENTITIES[name])
                    where = tables[name].format(batch=batch)
                    rows = connection.exec_driver_sql(f"SELECT {columns} FROM {name} WHERE {where}")
                    found.update(value for row in rows for value in row if value)
        return {batch, *found}


def copies_of(template: str, count: int, *, first: int = 1) -> list[str]:
    """Ids of the copies of a batch."""
    return [_renamed(template, number) for number in range(first, first + count)]


def _renamed(value: str, number: int) -> str:
    if value.endswith(TEMPLATE_ENDING) and not re.fullmatch(f"{_UUID}|{_HEX}", value):
        return f"{value[: -len(TEMPLATE_ENDING)]}{number:04}"
    return f"{value[:-8]}{number:08x}"


@dataclass(frozen=True, slots=True)
class Shift:
    """How the number of a row becomes that of its copy.

    Attributes:
        low: The first number of the batch; what is below is not of it and stays what it is.
        offset: From there to the same row of the first copy.
        step: From a copy to the next.
        first: Number of the first copy.
    """

    low: int
    offset: int
    step: int
    first: int

    def apply(self, value: int, number: int) -> int:
        """The number of a row in a copy."""
        if value < self.low:
            return value
        return value + self.offset + (number - self.first) * self.step


def _shifts(
    connection: sa.Connection, tables: Mapping[str, str], templates: Sequence[str], first: int
) -> dict[str, dict[str, Shift]]:
    """For each batch, how numbers of each kind become those of a copy."""
    shifts: dict[str, dict[str, Shift]] = {it: {} for it in templates}
    for kind, (table, column) in _COUNTED.items():
        if table not in tables:
            continue
        spans = []
        for it in templates:
            where = tables[table].format(batch=it)
            query = f"SELECT min({column}), max({column}) FROM {table} WHERE {where}"
            low, high = connection.exec_driver_sql(query).one()
            # A batch without essays has none.
            spans.append((1, 0) if low is None else (low, high))
        last = connection.exec_driver_sql(f"SELECT max({column}) FROM {table}").scalar_one()
        sizes = [high - low + 1 for low, high in spans]
        for position, (it, (low, _)) in enumerate(zip(templates, spans, strict=True)):
            offset = last + 1 + sum(sizes[:position]) - low
            shifts[it][kind] = Shift(low, offset, sum(sizes), first)
    return shifts


def _read(
    connection: sa.Connection,
    name: str,
    where: str,
    identities: set[str],
    shifts: Mapping[str, Shift],
) -> Table:
    """The rows of a batch in a table, taken apart."""
    columns = _columns(connection, name)
    known = "|".join(re.escape(it) for it in sorted(identities))
    pattern = re.compile(f"(?P<identity>{known})|{_POINTER}")
    parts: list[_Part] = []
    for line in _dump(connection, name, columns, where):
        for number, (column, value) in enumerate(zip(columns, line.split("\t"), strict=True)):
            parts.append("\t" if number else "")
            kind = _NUMBERS.get((name, column))
            is_pointer = column == "value" and "dagster/input_event_pointer/" in line
            if (kind or is_pointer) and value.isdigit():
                parts.append(_number(int(value), shifts[kind or "event"]))
            else:
                parts += _pieces(pattern, value, shifts)
        parts.append("\n")
    return Table(name, tuple(columns), tuple(_joined(parts)))


def _columns(connection: sa.Connection, table: str) -> list[str]:
    """All columns but the numbers that nobody points to: the database gives new ones."""
    left_out = _OWN_NUMBER - {column for name, column in _NUMBERS if name == table}
    found = sa.inspect(connection).get_columns(table)
    return [it["name"] for it in found if it["name"] not in left_out]


def _dump(connection: sa.Connection, table: str, columns: Sequence[str], where: str) -> list[str]:
    """Rows as `COPY` writes them, in their order."""
    names = [it["name"] for it in sa.inspect(connection).get_columns(table)]
    order = next((it for it in ("id", "seq", "outcome_id") if it in names), names[0])
    chosen = ", ".join(f'"{it}"' for it in columns)
    stream = io.StringIO()
    _cursor(connection).copy_expert(
        f"COPY (SELECT {chosen} FROM {table} WHERE {where} ORDER BY {order}) TO STDOUT", stream
    )
    return stream.getvalue().splitlines()


def _pieces(pattern: re.Pattern[str], value: str, shifts: Mapping[str, Shift]) -> Iterator[_Part]:
    end = 0
    for match in pattern.finditer(value):
        if identity := match["identity"]:
            yield value[end : match.start()]
            yield _identity(identity)
        else:
            yield value[end : match.start("pointer")]
            yield _number(int(match["pointer"]), shifts["event"])
        end = match.end()
    yield value[end:]


def _identity(value: str) -> Callable[[int], str]:
    return lambda number: _renamed(value, number)


def _number(value: int, shift: Shift) -> Callable[[int], str]:
    return lambda number: str(shift.apply(value, number))


def _joined(parts: Sequence[_Part]) -> Iterator[_Part]:
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
        else:
            yield text
            yield part
            text = ""
    yield text


def _write(connection: sa.Connection, tables: Sequence[Table], numbers: Sequence[int]) -> None:
    columns = ", ".join(f'"{it}"' for it in tables[0].columns)
    rows = "".join(table.rows([number]) for number in numbers for table in tables)
    _cursor(connection).copy_expert(
        f"COPY {tables[0].name} ({columns}) FROM STDIN", io.StringIO(rows)
    )


def _cursor(connection: sa.Connection) -> Any:
    return connection.connection.cursor()
