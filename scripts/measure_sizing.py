"""Measures what docs/sizing.md is computed from, on a Postgres server of its own.

    python -m scripts.measure_sizing

Classes of 90 essays, which are the accepted files of samples/, ten times each: one so that all is
made that is made once, four by `huleedu run` between two looks at the databases. Then `huleedu up`
is watched: at rest, and with a class of 90 and one of 9. It takes about three minutes.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy as sa

from benchmarks.running import free_port
from benchmarks.servers import postgres

_SAMPLES = Path(__file__).parents[1] / "samples"
_REJECTED = ("03", "06", "10")
_CLASS = 90
_SMALL_CLASS = 9
_CLASSES = 4
_REST_SECONDS = 30
_LIMIT_SECONDS = 300
_HULEEDU = [sys.executable, "-m", "huleedu_dagster.cli.app"]
_PARTS = {
    "dagster._daemon": "daemon",
    "huleedu_dagster.intake": "intake",
    "dagster_webserver": "web server",
    "api grpc": "code server",
    "spawn_main": "run",
    "extraction": "reader of files",
}


@dataclass(frozen=True, slots=True)
class Looked:
    """What a database server has done and holds.

    Attributes:
        tables: Bytes of each table with its indexes, by database and name.
        rows: Rows of each table.
        transactions: Committed, of both databases.
        log: Bytes written to the write-ahead log.
    """

    tables: dict[str, int]
    rows: dict[str, int]
    transactions: int
    log: int


def main() -> None:
    """Print what was measured, as JSON."""
    with tempfile.TemporaryDirectory(prefix="sizing-") as folder, postgres(*_NAMES) as urls:
        home, essays, few = Path(folder) / "home", Path(folder) / "class", Path(folder) / "few"
        _write_class(essays, _CLASS)
        _write_class(few, _SMALL_CLASS)
        os.environ |= {
            "HULEEDU_HOME": str(home),
            "HULEEDU_LEDGER_URL": urls[0],
            "HULEEDU_DAGSTER_DATABASE_URL": urls[1],
        }
        _huleedu("run", str(essays), "--batch", "class-0")
        before, blobs = _look(urls), _blobs(home)
        for number in range(_CLASSES):
            _huleedu("run", str(essays), "--batch", f"class-{number + 1}")
        after = _look(urls)
        _print(_growth(before, after, blobs, _blobs(home)))
        with _up() as supervisor:
            watched = Watched(supervisor, urls)
            _print(watched.at_rest())
            _print(watched.a_class("many", essays, _CLASS))
            _print(watched.a_class("few", few, _SMALL_CLASS))


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2), flush=True)


_NAMES = ("ledger", "dagster")


def _write_class(folder: Path, count: int) -> None:
    accepted = [it for it in sorted(_SAMPLES.iterdir()) if it.name[:2].isdigit()]
    accepted = [it for it in accepted if it.name[:2] not in _REJECTED]
    for number in range(count):
        path = accepted[number % len(accepted)]
        target = folder / f"student-{number}" / f"essay{path.suffix}"
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)


def _huleedu(*arguments: str) -> None:
    subprocess.run([*_HULEEDU, *arguments], check=True, stdout=subprocess.DEVNULL)


def _ask(url: str, query: str) -> list[Any]:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        return list(connection.exec_driver_sql(query).all())


def _look(urls: list[str]) -> Looked:
    tables: dict[str, int] = {}
    rows: dict[str, int] = {}
    for name, url in zip(_NAMES, urls, strict=True):
        for table, size in _ask(
            url, "SELECT relname, pg_total_relation_size(relid) FROM pg_stat_user_tables"
        ):
            tables[f"{name}.{table}"] = size
            rows[f"{name}.{table}"] = _ask(url, f'SELECT count(*) FROM "{table}"')[0][0]
    return Looked(tables, rows, _transactions(urls), _log(urls))


def _transactions(urls: list[str]) -> int:
    # What a backend did is counted when it ends, or after a second.
    time.sleep(2)
    query = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname IN ('ledger', 'dagster')"
    return int(_ask(urls[0], query)[0][0])


def _log(urls: list[str]) -> int:
    return int(_ask(urls[0], "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")[0][0])


def _blobs(home: Path) -> dict[str, int]:
    sizes: Counter[str] = Counter()
    for path in (home / "blobs").rglob("*"):
        if path.is_file():
            sizes[path.relative_to(home / "blobs").parts[0]] += path.stat().st_size
    return dict(sizes)


def _growth(
    before: Looked, after: Looked, blobs: dict[str, int], blobs_after: dict[str, int]
) -> dict[str, Any]:
    essays = _CLASS * _CLASSES
    per_essay = {
        name: [
            round((after.rows[name] - before.rows[name]) / essays, 2),
            round((size - before.tables[name]) / essays),
        ]
        for name, size in after.tables.items()
        if after.rows[name] != before.rows[name] or size != before.tables[name]
    }
    return {
        "rows and bytes of an essay, by table": per_essay,
        "transactions of an essay": round((after.transactions - before.transactions) / essays, 1),
        "bytes of an essay in the write-ahead log": round((after.log - before.log) / essays),
        "bytes of an essay in blobs": {
            name: round((size - blobs.get(name, 0)) / essays) for name, size in blobs_after.items()
        },
    }


@contextmanager
def _up() -> Iterator[psutil.Process]:
    ports = ["--port", str(free_port()), "--intake-port", str(free_port())]
    process = subprocess.Popen([*_HULEEDU, "up", *ports], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if not any(line.startswith("Ctrl-C") for line in process.stdout):
            raise RuntimeError("`huleedu up` ended by itself")
        yield psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@dataclass
class Watched:
    """A running installation and what it takes.

    Attributes:
        supervisor: `huleedu up`.
        urls: Its databases.
    """

    supervisor: psutil.Process
    urls: list[str]

    def at_rest(self) -> dict[str, Any]:
        """What it takes when there is nothing to do."""
        time.sleep(5)
        cpu, transactions, log = _cpu(self.supervisor), _transactions(self.urls), _log(self.urls)
        started = time.monotonic()
        time.sleep(_REST_SECONDS)
        found = _cpu(self.supervisor) - cpu
        done = _transactions(self.urls) - transactions
        seconds = time.monotonic() - started
        return {
            "at rest: transactions a second": round(done / seconds, 1),
            "at rest: bytes a second in the write-ahead log": round(
                (_log(self.urls) - log) / seconds
            ),
            "at rest: cores": round(found / seconds, 3),
        }

    def a_class(self, batch: str, essays: Path, count: int) -> dict[str, Any]:
        """What it takes to process a class, from handing in to release."""
        memory: dict[str, int] = {}
        connections: dict[str, int] = {}
        _huleedu("register", batch, "--expected", str(count))
        cpu, started = _cpu(self.supervisor), time.monotonic()
        database = _cpu(self._database())
        _huleedu("submit", str(essays), "--batch", batch)
        while not self._released(batch):
            if time.monotonic() - started > _LIMIT_SECONDS:
                raise RuntimeError("the class was not released in time")
            _note(self.supervisor, self.urls, memory, connections)
            time.sleep(0.2)
        # The process of the last run ends.
        time.sleep(3)
        seconds = time.monotonic() - started
        return {
            f"{count} essays: CPU seconds": round(_cpu(self.supervisor) - cpu, 2),
            f"{count} essays: CPU seconds of Postgres": round(_cpu(self._database()) - database, 2),
            f"{count} essays: runs": self._runs(batch),
            f"{count} essays: seconds": round(seconds, 1),
            f"{count} essays: most memory by part, MB (PSS)": {
                it: round(size / 1e6) for it, size in memory.items()
            },
            f"{count} essays: most connections by name": connections,
        }

    def _database(self) -> psutil.Process:
        for process in psutil.Process().children():
            if any("postgres_keeper" in it for it in process.cmdline()):
                return process
        raise RuntimeError("the database server is not a child of this process")

    def _runs(self, batch: str) -> int:
        query = (
            "SELECT count(DISTINCT run_id) FROM run_tags "
            f"WHERE value = '{batch}' OR value LIKE '{batch}|%%'"
        )
        return int(_ask(self.urls[1], query)[0][0])

    def _released(self, batch: str) -> bool:
        query = f"SELECT count(*) FROM releases WHERE batch_id = '{batch}'"
        return bool(_ask(self.urls[0], query)[0][0])


def _cpu(supervisor: psutil.Process) -> float:
    seconds = 0.0
    for process in (supervisor, *supervisor.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])
    return seconds


def _note(
    supervisor: psutil.Process,
    urls: list[str],
    memory: dict[str, int],
    connections: dict[str, int],
) -> None:
    for process in supervisor.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, StopIteration):
            command = " ".join(process.cmdline())
            part = next(part for mark, part in _PARTS.items() if mark in command)
            memory[part] = max(memory.get(part, 0), process.memory_full_info().pss)
    query = (
        "SELECT datname || ': ' || application_name, count(*) FROM pg_stat_activity "
        "WHERE datname IN ('ledger','dagster') GROUP BY 1"
    )
    for name, count in _ask(urls[0], query):
        connections[name] = max(connections.get(name, 0), count)


if __name__ == "__main__":
    main()
