"""Taking files in, over HTTP and without it, against a bare loop that writes the same bytes."""

import http.client
import json
import os
import queue
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks.framework import Benchmark, Elsewhere, Side, peak_mb_of
from benchmarks.running import free_port
from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.intake import Intake, ReceiptStatus, Submission
from huleedu_dagster.pipeline.lifecycle import register
from huleedu_dagster.storage.local import LocalBlobStore

FILES = 300
BYTES = 50_000
BATCHES = 10
CONNECTIONS = 8
CLASS = FILES // BATCHES
GROUP = 10
"""Files of one request of the page on which essays are dropped."""

_CHUNK = 16_384
_BOUNDARY = "benchmark"
_START_SECONDS = 60.0


def benchmarks() -> list[Benchmark]:
    """The benchmarks of the intake."""
    loop = Side("a bare loop: write, fsync, insert a row, commit", _bare_loop)
    sizes = f"{FILES} files of {BYTES} bytes"
    return [
        Benchmark(
            name="intake-upload",
            subject=_over_http(sizes, CLASS),
            baseline=loop,
            note=(
                "each request holds the class of one batch; the subject checks the token, parses, "
                "hashes, links into place, fsyncs file and folder, gives slots and records events "
                "before it answers; sender and intake share the machine and both count"
            ),
            target=0.6,
        ),
        Benchmark(
            name="intake-upload-groups",
            subject=_over_http(sizes, GROUP),
            baseline=loop,
            note="as `intake-upload`, in requests of the size that the drop page sends",
        ),
        Benchmark(
            name="intake-upload-store",
            subject=Side(f"submissions of {sizes}, {CONNECTIONS} threads", _uploads),
            baseline=loop,
            note=(
                "what of `intake-upload` is left without HTTP; both sides use SQLite with WAL and "
                "full synchronisation; making the databases is not timed"
            ),
        ),
    ]


def _contents() -> list[bytes]:
    chance = random.Random(5)
    return [chance.randbytes(BYTES) for _ in range(FILES)]


def _over_http(sizes: str, each: int) -> Side:
    label = f"the intake over HTTP: {sizes}, {CONNECTIONS} connections, {each} files a request"
    return Side(label, partial(_uploads_over_http, each))


def _requests(each: int) -> Iterator[tuple[str, range]]:
    """Batch and numbers of the files of each request."""
    for first in range(0, FILES, each):
        yield f"class-{first * BATCHES // FILES}", range(first, first + each)


@contextmanager
def _ledger(folder: Path) -> Iterator[Ledger]:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _uploads_over_http(each: int, folder: Path) -> Iterator[Callable[[], object]]:
    token = new_token()
    with _ledger(folder) as ledger, ledger.write() as tx:
        owner = tx.tokens.create("bench", list(Scope), hash_token(token))
    with _ledger(folder) as ledger:
        for name in ("warm", *(f"class-{number}" for number in range(BATCHES))):
            register(ledger, name, settings=BatchSettings(), owner=owner.token_id)
    contents = _contents()
    bodies = [_form(batch, [contents[it] for it in numbers]) for batch, numbers in _requests(each)]
    with _intake(folder) as (port, process):
        # What is imported with the first request is paid once in a process's life.
        _send(port, token, _queue([_form("warm", [b"warm"])]))
        yield partial(_send_all, port, token, bodies, process)


@contextmanager
def _intake(home: Path) -> Iterator[tuple[int, psutil.Popen]]:
    port = free_port()
    command = [sys.executable, "-m", "huleedu_dagster.intake", "--port", str(port)]
    process = psutil.Popen(
        command, stderr=subprocess.DEVNULL, env={**os.environ, "HULEEDU_HOME": str(home)}
    )
    try:
        until = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the intake did not start")
            time.sleep(0.05)
        yield port, process
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
    except OSError:
        return False


def _form(batch: str, contents: Sequence[bytes]) -> bytes:
    part = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    pieces = [f'{part}"batch_id"\r\n\r\n{batch}\r\n'.encode()]
    for data in contents:
        name = sha256_hex(data)[:12]
        pieces += [f'{part}"files"; filename="{name}.txt"\r\n\r\n'.encode(), data, b"\r\n"]
    return b"".join([*pieces, f"--{_BOUNDARY}--\r\n".encode()])


def _send_all(port: int, token: str, bodies: Sequence[bytes], process: psutil.Popen) -> object:
    waiting = _queue(bodies)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        receipts = sum(pool.map(lambda _: _send(port, token, waiting), range(CONNECTIONS)))
    if receipts != FILES:
        raise RuntimeError("a file was not taken in as a new essay")
    return Elsewhere(peak_mb_of(process.pid)) if sys.platform == "linux" else None


def _queue(bodies: Iterable[bytes]) -> "queue.SimpleQueue[bytes]":
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    for body in bodies:
        waiting.put(body)
    return waiting


def _send(port: int, token: str, waiting: "queue.SimpleQueue[bytes]") -> int:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
    }
    receipts = 0
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        while True:
            try:
                body = waiting.get_nowait()
            except queue.Empty:
                return receipts
            connection.request("POST", "/v1/files/batch", body, headers)
            files = json.loads(connection.getresponse().read())["files"]
            receipts += sum(it["status"] == ReceiptStatus.NEW_ESSAY for it in files)


@contextmanager
def _uploads(folder: Path) -> Iterator[Callable[[], object]]:
    with _ledger(folder) as ledger:
        for number in range(BATCHES):
            register(ledger, f"class-{number}", settings=BatchSettings(), source="bench")
        intake = Intake(ledger, LocalBlobStore(folder / "blobs"), 99)
        yield partial(_upload_all, intake, _contents())


def _upload_all(intake: Intake, contents: list[bytes]) -> None:
    def upload(request: tuple[str, range]) -> None:
        batch, numbers = request
        with intake.submission(batch) as submission:
            for number in numbers:
                _upload_one(submission, number, contents[number])
        if any(it.status is not ReceiptStatus.NEW_ESSAY for it in submission.receipts):
            raise RuntimeError("a file was not taken in as a new essay")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(upload, _requests(CLASS)))


def _upload_one(submission: Submission, number: int, data: bytes) -> None:
    with submission.upload(f"{number}.txt") as opened:
        for start in range(0, len(data), _CHUNK):
            opened.write(data[start : start + _CHUNK])
        opened.keep()


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
