"""What a server adds to the contract of the blob store: refusals, silence, faults, many at once."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from minio.commonconfig import GOVERNANCE
from minio.error import S3Error
from minio.objectlockconfig import DAYS, ObjectLockConfig

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
    BlobStoreError,
)
from huleedu_dagster.storage.s3 import S3BlobStore, S3Options
from tests.support.between import Between, Fault, busy, cut_off, dropped, silent
from tests.support.careless_s3 import CarelessS3
from tests.support.seaweed import (
    client_of,
    make_bucket,
    new_bucket,
    options_at,
    s3_options,
    seaweed,
    through,
    wait_for_object,
)
from tests.support.seaweed_server import ACCESS_KEY, SECRET_KEY
from tests.support.waiting import wait_for

KEY = "raw_upload_blob/class-a/u001"
TEXT = b"the text"
LARGE = bytes(range(256)) * 8_000


@pytest.fixture
def options(tmp_path: Path) -> S3Options:
    return s3_options(tmp_path)


def port_of(options: S3Options) -> int:
    return int(options.endpoint.partition(":")[2])


def write(store: S3BlobStore, data: bytes) -> None:
    with store.writer(KEY) as writer:
        writer.write(data)
        writer.commit()


CALLS: dict[str, Callable[[S3BlobStore], object]] = {
    "check": lambda store: store.check(),
    "get": lambda store: store.get(KEY, sha256_hex(TEXT)),
    "has": lambda store: store.has(KEY),
    "keys": lambda store: list(store.keys("raw_upload_blob")),
    "pieces": lambda store: store.pieces(KEY, sha256_hex(TEXT)),
    "put": lambda store: store.put(KEY, TEXT),
    "put a large one": lambda store: store.put(KEY, LARGE),
    "writer": lambda store: write(store, TEXT),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("name", "secret"), [(ACCESS_KEY, "not-the-secret"), ("nobody", SECRET_KEY)]
)
def test_a_wrong_key_is_told_and_no_secret_with_it(
    options: S3Options, name: str, secret: str, call: str
) -> None:
    with Between(port_of(options)) as between:
        reached = through(options, between.port)
        refused = replace(reached, access_key=name, secret_key=secret)
        with pytest.raises(PermissionError, match="HULEEDU_S3_ACCESS_KEY") as caught:
            CALLS[call](S3BlobStore(refused))
        assert between.requests == 1
    for private in (name, secret, KEY):
        assert private not in str(caught.value) + repr(refused)


@pytest.mark.parametrize("call", CALLS)
def test_a_bucket_that_is_missing_is_told_and_nothing_is_missing_in_it(
    options: S3Options, call: str
) -> None:
    with pytest.raises(OSError, match="no bucket 'nowhere'; create it or see HULEEDU_S3_BUCKET"):
        CALLS[call](S3BlobStore(replace(options, bucket="nowhere")))


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there_is_told_after_some_attempts(
    options: S3Options, call: str
) -> None:
    with Between(port_of(options), always=dropped) as between:
        store = S3BlobStore(through(options, between.port, retries=2))
        with pytest.raises(OSError, match=r"cannot be reached .*; see HULEEDU_S3_ENDPOINT"):
            CALLS[call](store)
        assert between.connections == 3


def test_a_port_where_nobody_listens_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = taken.getsockname()[1]
        store = S3BlobStore(through(options_at(nobody, tmp_path), nobody, retries=1))
        with pytest.raises(OSError, match=r"cannot be reached \(NewConnectionError\)"):
            store.put(KEY, TEXT)


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_silent_is_given_up(options: S3Options, call: str) -> None:
    with Between(port_of(options), always=silent) as between:
        quick = replace(through(options, between.port, retries=1), read_seconds=0.1)
        with pytest.raises(TimeoutError, match="in time; see HULEEDU_S3_CONNECT_SECONDS"):
            CALLS[call](S3BlobStore(quick))
        # It may have given up before it was let in.
        wait_for(lambda: between.connections == 2, 60)


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"put a large one"}))
@pytest.mark.parametrize(
    "faults", [[dropped], [busy], [busy, dropped]], ids=["dropped", "busy", "both"]
)
def test_what_may_go_well_the_next_time_is_tried_again(
    options: S3Options, faults: list[Fault], call: str
) -> None:
    S3BlobStore(options).put(KEY, TEXT)
    with Between(port_of(options), faults) as between:
        CALLS[call](S3BlobStore(through(options, between.port)))
        assert between.connections == len(faults) + 1
    assert S3BlobStore(options).get(KEY, sha256_hex(TEXT)) == TEXT


@pytest.mark.parametrize("call", ["get", "put"])
def test_an_answer_that_is_late_once_is_asked_for_again(options: S3Options, call: str) -> None:
    S3BlobStore(options).put(KEY, TEXT)
    with Between(port_of(options), [silent]) as between:
        CALLS[call](S3BlobStore(replace(through(options, between.port, 30), read_seconds=1.0)))
        assert between.connections > 1


def test_a_server_that_stays_busy_is_told(options: S3Options) -> None:
    with Between(port_of(options), always=busy) as between:
        store = S3BlobStore(through(options, between.port, retries=2))
        with pytest.raises(OSError, match=r"the S3 server answers SlowDown \(503\)"):
            list(store.keys("raw_upload_blob"))
        assert between.connections == 3


@pytest.mark.slow
def test_a_server_that_is_away_for_three_seconds_costs_nothing(options: S3Options) -> None:
    with Between(port_of(options), [busy] * 4) as between:
        store = S3BlobStore(replace(options, endpoint=f"127.0.0.1:{between.port}"))
        begun = time.monotonic()
        store.check()
        # As docs/storage.md says: at once, then after 0.4, 0.8 and 1.6 s at least.
        assert time.monotonic() - begun >= 2.7
        assert between.connections == 5


def test_an_answer_that_breaks_off_is_asked_for_again(options: S3Options) -> None:
    S3BlobStore(options).put(KEY, LARGE)
    for read in (lambda it: it.get(KEY, sha256_hex(LARGE)), lambda it: whole(it, LARGE)):
        with Between(port_of(options), [cut_off(100_000), cut_off(1_000)]) as between:
            assert read(S3BlobStore(through(options, between.port))) == LARGE
            assert between.connections == 3


def test_an_answer_that_always_breaks_off_is_an_error(options: S3Options) -> None:
    S3BlobStore(options).put(KEY, LARGE)
    with Between(port_of(options), always=cut_off(100_000)) as between:
        store = S3BlobStore(through(options, between.port, retries=1))
        with pytest.raises(OSError, match="cannot be reached"):
            store.get(KEY, sha256_hex(LARGE))
        with pytest.raises(OSError, match="cannot be reached"):
            store.pieces(KEY, sha256_hex(LARGE))


def whole(store: S3BlobStore, data: bytes) -> bytes:
    return b"".join(store.pieces(KEY, sha256_hex(data)))


def test_a_put_whose_answer_was_lost_is_done(tmp_path: Path) -> None:
    server = CarelessS3()
    server.losses = 1
    with server.running() as port:
        S3BlobStore(options_at(port, tmp_path)).put(KEY, TEXT)
        assert server.puts == 2
    assert server.objects == {f"/blobs/{KEY}": TEXT}


def store_keys(options: S3Options) -> list[str]:
    return list(S3BlobStore(options).keys("raw_upload_blob"))


def test_a_server_killed_in_the_middle_of_a_put_shows_nothing_of_it(tmp_path: Path) -> None:
    server = seaweed(tmp_path / "server")
    server.start()
    try:
        options = options_at(server.port, tmp_path)
        make_bucket(options)
        S3BlobStore(options).put("raw_upload_blob/class-a/first", TEXT)
        killing: Fault = lambda it, client: it.pass_on(  # noqa: E731
            client, most_there=len(LARGE) // 2, cut=server.kill
        )
        with Between(server.port, always=killing) as between:
            store = S3BlobStore(through(options, between.port, retries=1))
            with pytest.raises(OSError, match="cannot be reached"):
                store.put(KEY, LARGE)
        server.start()
        wait_for_object(options, "raw_upload_blob/class-a/first")
        assert store_keys(options) == ["raw_upload_blob/class-a/first"]
        store = S3BlobStore(options)
        with pytest.raises(BlobMissingError):
            store.get(KEY, sha256_hex(LARGE))
        assert store.get("raw_upload_blob/class-a/first", sha256_hex(TEXT)) == TEXT
        store.put(KEY, LARGE)
        assert store.get(KEY, sha256_hex(LARGE)) == LARGE
    finally:
        server.kill()


@pytest.mark.slow
def test_of_sixteen_writers_of_one_key_one_wins(options: S3Options) -> None:
    gate = threading.Barrier(16)

    def put(number: int) -> bytes | None:
        data = f"writer {number}".encode()
        store = S3BlobStore(options)
        gate.wait()
        try:
            store.put(KEY, data)
        except BlobConflictError:
            return None
        return data

    with ThreadPoolExecutor(16) as pool:
        won = [it for it in pool.map(put, range(16)) if it is not None]
    assert len(won) == 1
    assert S3BlobStore(options).get(KEY, sha256_hex(won[0])) == won[0]


@pytest.mark.slow
def test_five_thousand_keys_are_listed_in_pages(tmp_path: Path) -> None:
    options = new_bucket(tmp_path)
    store = S3BlobStore(options)
    expected = [f"raw_upload_blob/class-{n % 7}/u{n:04}" for n in range(5_000)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(partial(store.put, data=TEXT), expected))
    with Between(port_of(options)) as between:
        paged = S3BlobStore(through(options, between.port))
        assert list(paged.keys("raw_upload_blob")) == sorted(expected)
        assert between.requests >= 5
    assert list(store.keys("raw_upload_blob/class-3")) == sorted(expected[3::7])


def test_a_listing_that_breaks_off_is_an_error_and_not_a_short_one(options: S3Options) -> None:
    S3BlobStore(options).put(KEY, TEXT)
    with Between(port_of(options), always=cut_off(400)) as between:
        store = S3BlobStore(through(options, between.port, retries=1))
        with pytest.raises(OSError, match="cannot be reached"):
            list(store.keys("raw_upload_blob"))


def test_damage_in_the_bucket_is_found_when_the_blob_is_read(options: S3Options) -> None:
    store = S3BlobStore(options)
    store.put(KEY, LARGE)
    client_of(options).fput_object(options.bucket, KEY, __file__)
    with pytest.raises(BlobCorruptedError):
        store.get(KEY, sha256_hex(LARGE))
    with pytest.raises(BlobCorruptedError):
        store.pieces(KEY, sha256_hex(LARGE))
    with pytest.raises(BlobConflictError):
        store.put(KEY, LARGE)


def test_a_bucket_with_object_lock_keeps_what_somebody_deletes(tmp_path: Path) -> None:
    options = new_bucket(tmp_path, object_lock=True)
    client = client_of(options)
    client.set_object_lock_config(options.bucket, ObjectLockConfig(GOVERNANCE, 1, DAYS))
    store = S3BlobStore(options)
    store.put(KEY, LARGE)
    store.put(KEY, LARGE)
    with pytest.raises(BlobConflictError):
        store.put(KEY, LARGE + b"more")
    (version,) = client.list_objects(options.bucket, recursive=True, include_version=True)
    with pytest.raises(S3Error, match="AccessDenied"):
        client.remove_object(options.bucket, KEY, version_id=version.version_id)
    assert store.get(KEY, sha256_hex(LARGE)) == LARGE


def test_a_server_that_replaces_objects_is_not_worked_with(tmp_path: Path) -> None:
    server = CarelessS3()
    server.heeds_conditions = False
    with server.running() as port:
        store = S3BlobStore(options_at(port, tmp_path))
        server.objects[f"/blobs/{KEY}"] = b"older"
        with pytest.raises(BlobConflictError):
            store.put(KEY, TEXT)
        assert server.puts == 0
        with pytest.raises(BlobStoreError, match="If-None-Match"):
            store.put(f"{KEY}-2", TEXT)


def test_without_a_hash_from_the_server_the_bytes_are_compared(tmp_path: Path) -> None:
    server = CarelessS3()
    with server.running() as port:
        store = S3BlobStore(options_at(port, tmp_path))
        for data in (TEXT, LARGE):
            store.put(f"{KEY}-{len(data)}", data)
            store.put(f"{KEY}-{len(data)}", data)
            with pytest.raises(BlobConflictError):
                store.put(f"{KEY}-{len(data)}", data[:-1] + b"!")


def test_an_answer_of_somebody_else_is_not_taken_for_a_stored_blob(tmp_path: Path) -> None:
    server = CarelessS3()
    server.stores = False
    with server.running() as port, pytest.raises(OSError, match="answers"):
        S3BlobStore(options_at(port, tmp_path)).put(KEY, TEXT)


def test_a_refusal_that_passes_is_tried_again_and_another_is_not(tmp_path: Path) -> None:
    server = CarelessS3()
    with server.running() as port:
        store = S3BlobStore(through(options_at(port, tmp_path), port, retries=1))
        server.refusals = ["BadDigest"]
        store.put(KEY, TEXT)
        server.puts, server.refusals = 0, ["BadDigest"] * 2
        with pytest.raises(OSError, match=r"BadDigest \(400\)"):
            store.put(f"{KEY}-2", TEXT)
        server.puts, server.refusals = 0, ["InvalidRequest"]
        with pytest.raises(OSError, match=r"InvalidRequest \(400\)"):
            store.put(f"{KEY}-2", TEXT)
        assert server.puts == 1
        server.refusals = ["QuotaExceeded"]
        with pytest.raises(OSError, match="no room left"):
            store.put(f"{KEY}-2", TEXT)


def test_nothing_stays_in_the_folder_where_blobs_wait(options: S3Options) -> None:
    store = S3BlobStore(options)
    with store.writer(KEY) as writer:
        writer.write(LARGE)
        assert list(options.spool.iterdir()) == []
        writer.commit()
    pieces = store.pieces(KEY, sha256_hex(LARGE))
    assert next(pieces) == LARGE[: 256 * 1024]
    assert list(options.spool.iterdir()) == []


# Prints by how much the memory of this process grew, in bytes, while a large blob went both ways.
MEMORY = """
import re, sys
from pathlib import Path
from huleedu_dagster.storage.s3 import S3BlobStore, S3Options

def peak():
    # What `getrusage` says of a process begins with what its parent had.
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

options = S3Options(*sys.argv[1:5], spool=Path(sys.argv[5]), secure=False)
store = S3BlobStore(options)
store.put("raw/a/small", b"x")
before = peak()
with store.writer("raw/a/large") as writer:
    for number in range(200):
        writer.write(bytes([number]) * 1_000_000)
    writer.commit()
assert sum(map(len, store.pieces("raw/a/large", writer.sha256))) == 200_000_000
print(peak() - before)
"""


@pytest.mark.slow
def test_memory_is_flat_for_a_blob_of_200_megabytes(tmp_path: Path) -> None:
    server = seaweed(tmp_path / "server")
    server.start()
    try:
        options = options_at(server.port, tmp_path)
        make_bucket(options)
        where = (options.endpoint, options.bucket, options.access_key, options.secret_key)
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, *where, str(options.spool)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        server.kill()
    assert int(done.stdout) < 20_000_000
