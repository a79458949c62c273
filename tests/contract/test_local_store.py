"""What a folder adds to the contract of the blob store: crashes, full disks, damage."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
)
from tests.support.boundary import refuse_listing

KEY = "extracted_plaintext/class-a/e001/ab12"
TEXT = b"the text"


def files(root: Path) -> list[str]:
    return sorted(it.relative_to(root).as_posix() for it in root.rglob("*") if it.is_file())


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def test_damage_on_disk_is_found_when_the_blob_is_read(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    store.put(KEY, TEXT)
    (tmp_path / KEY).write_bytes(TEXT[:-1] + b"T")
    with pytest.raises(BlobCorruptedError):
        store.get(KEY, sha256_hex(TEXT))
    (tmp_path / KEY).write_bytes(b"")
    with pytest.raises(BlobCorruptedError):
        store.get(KEY, sha256_hex(TEXT))


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_disk_leaves_neither_a_blob_nor_a_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("raw/a/first", TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk)
        with pytest.raises(OSError, match="No space"):
            store.put("raw/a/second", TEXT)
    assert files(tmp_path) == ["raw/a/first"]
    store.put("raw/a/second", TEXT)
    assert store.get("raw/a/second", sha256_hex(TEXT)) == TEXT


class PowerCutError(BaseException):
    """Ends the process, as far as the store can see."""


def test_a_crash_before_the_link_leaves_no_blob_and_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> None:
        raise PowerCutError

    store = LocalBlobStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", crash)
        # After a power cut nobody tidies up.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(PowerCutError):
            store.put(KEY, TEXT)
    assert len(files(tmp_path)) == 1
    assert list(store.keys("extracted_plaintext")) == []
    with pytest.raises(BlobMissingError):
        store.get(KEY, sha256_hex(TEXT))
    store.put(KEY, TEXT)
    assert list(store.keys("extracted_plaintext")) == [KEY]


def synced(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> list[str]:
    found: list[str] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        found.append(kind)
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", watch)
        work()
    return found


def test_a_blob_is_durable_before_put_returns_file_first_then_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("raw/a/first", TEXT)
    found = synced(monkeypatch, lambda: store.put("raw/a/second", TEXT))
    assert found == ["file", "folder"]


def test_a_new_folder_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalBlobStore(tmp_path / "blobs")
    found = synced(monkeypatch, lambda: store.put("raw/a/first", TEXT))
    assert found == ["folder"] * 3 + ["file", "folder"]


def test_a_repeated_put_makes_durable_what_a_crash_left_undurable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may have died between the link and the fsync of the folder."""
    store = LocalBlobStore(tmp_path)
    store.put(KEY, TEXT)
    assert "folder" in synced(monkeypatch, lambda: store.put(KEY, TEXT))


def test_a_listing_that_fails_is_never_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("raw/a/first", TEXT)
    store.put("raw/b/second", TEXT)
    refuse_listing(monkeypatch, "raw/b")
    with pytest.raises(OSError, match="Permission"):
        list(store.keys("raw"))


def test_a_store_that_is_no_folder_is_down_and_not_empty(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    store = LocalBlobStore(tmp_path / "store")
    with pytest.raises(NotADirectoryError):
        store.get(KEY, sha256_hex(TEXT))
    with pytest.raises(NotADirectoryError):
        store.pieces(KEY, sha256_hex(TEXT))
    with pytest.raises(NotADirectoryError):
        list(store.keys("extracted_plaintext"))
    with pytest.raises(NotADirectoryError):
        store.has(KEY)
    with pytest.raises(NotADirectoryError):
        store.put(KEY, TEXT)
    with pytest.raises(NotADirectoryError):
        store.sweep(0)


def write(store: LocalBlobStore, data: bytes = TEXT) -> None:
    with store.writer(KEY) as writer:
        writer.write(data)
        writer.commit()


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_a_disk_that_gets_full_while_a_blob_is_written_keeps_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("raw/a/first", TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full_disk)
        with pytest.raises(OSError, match="No space"):
            write(store)
    assert files(tmp_path) == ["raw/a/first"]
    write(store)
    assert store.get(KEY, sha256_hex(TEXT)) == TEXT


_FILL = """
import resource, sys
from pathlib import Path
from huleedu_dagster.storage.local import LocalBlobStore

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
store = LocalBlobStore(Path(sys.argv[1]))
try:
    with store.writer("raw/a/large") as writer:
        try:
            for _ in range(100):
                writer.write(b"x" * 3_000)
        finally:
            try:
                writer.commit()
            except ValueError:
                print("cannot be committed")
except OSError as error:
    print(type(error).__name__, error.errno)
store.put("raw/a/small", b"x" * 1_000)
"""


def test_a_real_limit_of_the_system_ends_a_blob_in_the_middle_of_a_chunk(tmp_path: Path) -> None:
    """The kernel writes part of the chunk, then refuses; the half must never be committed."""
    done = subprocess.run(
        [sys.executable, "-c", _FILL, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["cannot be committed", "OSError 27"]
    assert files(tmp_path) == ["raw/a/small"]


_DIE = """
import os, signal, sys
from pathlib import Path
from huleedu_dagster.storage.local import LocalBlobStore

with LocalBlobStore(Path(sys.argv[1])).writer("raw/a/large") as writer:
    writer.write(b"x" * 100_000)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_of_a_process_that_was_killed_while_writing_no_key_is_left(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _DIE, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    store = LocalBlobStore(tmp_path)
    assert list(store.keys("raw")) == []
    store.put("raw/a/large", TEXT)
    assert list(store.keys("raw")) == ["raw/a/large"]


def test_no_temporary_file_outlives_its_writer(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    with store.writer(KEY) as abandoned:
        abandoned.write(TEXT)
        assert len(files(tmp_path)) == 1
    assert files(tmp_path) == []
    write(store)
    write(store)
    assert files(tmp_path) == [KEY]


def test_a_writer_is_durable_before_commit_returns_and_an_abandoned_one_costs_no_fsync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(tmp_path)
    store.put("extracted_plaintext/class-a/e001/first", TEXT)

    def abandon() -> None:
        with store.writer(KEY) as writer:
            writer.write(TEXT)

    assert synced(monkeypatch, abandon) == []
    assert synced(monkeypatch, lambda: write(store)) == ["file", "folder"]
    # Again: the writer before may have died between its link and the fsync of the folder.
    assert synced(monkeypatch, lambda: write(store)) == ["file", "folder"]


def test_damage_is_not_taken_for_the_same_bytes_again(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    store.put(KEY, TEXT)
    (tmp_path / KEY).write_bytes(TEXT[:-1] + b"T")
    with pytest.raises(BlobConflictError):
        write(store)
    with pytest.raises(BlobConflictError):
        store.put(KEY, TEXT)


HOUR = 3600.0


def abandoned(root: Path, key: str, age: float) -> Path:
    """What a process left beside a blob that it died writing, so many seconds ago."""
    path = (root / key).parent / f".tmp-{age:.0f}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TEXT)
    moment = time.time() - age
    os.utime(path, (moment, moment))
    return path


def test_a_sweep_deletes_the_old_remains_of_dead_writers_and_no_blob(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    for key in (KEY, "raw/a/first"):
        store.put(key, TEXT)
        os.utime(tmp_path / key, (0, 0))
        abandoned(tmp_path, key, 2 * HOUR)
    young = abandoned(tmp_path, KEY, HOUR / 2)
    assert store.sweep(HOUR) == 2
    assert sorted(files(tmp_path)) == sorted(
        [KEY, "raw/a/first", young.relative_to(tmp_path).as_posix()]
    )
    assert store.sweep(HOUR) == 0
    assert store.get(KEY, sha256_hex(TEXT)) == TEXT


def test_a_sweep_lets_a_blob_be_that_is_still_being_written(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    with store.writer(KEY) as writer:
        (temporary,) = (tmp_path / KEY).parent.iterdir()
        os.utime(temporary, (0, 0))
        # However long it took: its last byte is new.
        writer.write(TEXT)
        assert store.sweep(HOUR) == 0
        writer.commit()
    assert store.get(KEY, sha256_hex(TEXT)) == TEXT


def test_a_writer_whose_file_was_swept_all_the_same_promises_nothing(tmp_path: Path) -> None:
    store = LocalBlobStore(tmp_path)
    with store.writer(KEY) as writer:
        writer.write(TEXT)
        assert store.sweep(-HOUR) == 1
        with pytest.raises(FileNotFoundError):
            writer.commit()
    assert list(store.keys("extracted_plaintext")) == []


def test_several_may_sweep_at_once_and_each_remain_is_counted_once(tmp_path: Path) -> None:
    for number in range(200):
        abandoned(tmp_path, f"raw/batch-{number % 7}/x", HOUR * 2 + number)
    stores = [LocalBlobStore(tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as pool:
        swept = list(pool.map(lambda it: it.sweep(HOUR), stores))
    assert sum(swept) == 200
    assert files(tmp_path) == []


def test_a_store_that_was_never_used_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert LocalBlobStore(tmp_path / "none").sweep(HOUR) == 0
    assert not (tmp_path / "none").exists()


def test_a_sweep_follows_no_link_out_of_the_store(tmp_path: Path) -> None:
    elsewhere = abandoned(tmp_path / "elsewhere", "a/b", 2 * HOUR)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "link").symlink_to(elsewhere.parent)
    assert LocalBlobStore(tmp_path / "store").sweep(HOUR) == 0
    assert elsewhere.exists()


def test_blobs_that_are_secured_together_cost_one_fsync_of_their_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalBlobStore(tmp_path)
    keys = [f"raw_upload_blob/class-a/{number}" for number in range(3)]
    store.put("raw_upload_blob/class-a/first", TEXT)

    def commit() -> None:
        for key in keys:
            with store.writer(key) as writer:
                writer.write(TEXT)
                writer.commit(secure=False)

    assert synced(monkeypatch, commit) == ["file"] * 3
    assert [store.get(key, sha256_hex(TEXT)) for key in keys] == [TEXT] * 3
    assert synced(monkeypatch, lambda: store.secure(keys)) == ["folder"]
