"""Taking files in over eight threads against a bare loop that writes the same bytes."""

import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from benchmarks.framework import Benchmark, Side
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.intake import Intake, ReceiptStatus
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.storage.local import LocalBlobStore

FILES = 300
BYTES = 50_000
BATCHES = 10
THREADS = 8
_CHUNK = 16_384


def benchmarks() -> list[Benchmark]:
    """The benchmarks of the intake."""
    return [
        Benchmark(
            name="intake-upload-store",
            subject=Side(
                f"`Intake.upload` of {FILES} files of {BYTES} bytes, {THREADS} threads", _uploads
            ),
            baseline=Side("a bare loop: write, fsync, insert a row, commit", _bare_loop),
            note=(
                "the subject links into place, fsyncs the folder, asks the ledger twice and "
                "gives slots in a transaction; both use SQLite with WAL and full synchronisation; "
                "making the databases is not timed; target ratio >= 0.6"
            ),
        )
    ]


def _contents() -> list[bytes]:
    chance = random.Random(5)
    return [chance.randbytes(BYTES) for _ in range(FILES)]


@contextmanager
def _uploads(folder: Path) -> Iterator[Callable[[], object]]:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    for number in range(BATCHES):
        register(ledger, f"class-{number}", settings=BatchSettings(), source="bench")
    intake = Intake(ledger, LocalBlobStore(folder / "blobs"), 99)
    yield partial(_upload_all, intake, _contents())
    ledger.close()


def _upload_all(intake: Intake, contents: list[bytes]) -> None:
    def upload(number: int) -> None:
        data = contents[number]
        with intake.upload(f"class-{number % BATCHES}", f"{number}.txt") as opened:
            for start in range(0, len(data), _CHUNK):
                opened.write(data[start : start + _CHUNK])
            receipt = opened.finish()
        if receipt.status is not ReceiptStatus.NEW_ESSAY:
            raise RuntimeError("a file was not taken in as a new essay")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(upload, range(FILES)))


@contextmanager
def _bare_loop(folder: Path) -> Iterator[Callable[[], object]]:
    with closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE files (name TEXT PRIMARY KEY, sha256 TEXT, size INTEGER)")
        yield partial(_write_all, folder, connection, _contents())


def _write_all(folder: Path, connection: sqlite3.Connection, contents: list[bytes]) -> None:
    for number, data in enumerate(contents):
        name = f"{number}.txt"
        with (folder / name).open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        row = (name, sha256_hex(data), len(data))
        connection.execute("INSERT INTO files VALUES (?, ?, ?)", row)
