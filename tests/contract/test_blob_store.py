"""What every blob store promises. Another store joins by adding its maker to `MAKERS`."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
    BlobStore,
    InvalidBlobKeyError,
)

KEY = "extracted_plaintext/class-a/e001/ab12"
MAKERS: dict[str, Callable[[Path], BlobStore]] = {"local": LocalBlobStore}
BAD_KEYS = [
    "",
    "one",
    "/etc/passwd",
    "a/../b",
    "../a/b",
    "a/./b",
    "a//b",
    "a/b/",
    "A/b",
    "a/b c",
    "a/b.txt",
    "a\\b",
    "a/.tmp-x",
    "a/b\n",
    "a/\x00",
    "a/å",
    "a/b/c/d/e/f/g/h/i",
]


@pytest.fixture(params=sorted(MAKERS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MAKERS[request.param](tmp_path / "blobs")


def test_what_was_put_is_what_is_got(store: BlobStore) -> None:
    for number, data in enumerate((b"", b"text", bytes(range(256)) * 1000)):
        store.put(f"{KEY}{number}", data)
        assert store.get(f"{KEY}{number}", sha256_hex(data)) == data


def test_the_same_bytes_again_are_fine(store: BlobStore) -> None:
    store.put(KEY, b"text")
    store.put(KEY, b"text")
    assert list(store.keys("extracted_plaintext")) == [KEY]


@pytest.mark.parametrize("other", [b"", b"next", b"text and more"])
def test_other_bytes_under_a_key_are_refused_and_the_first_are_kept(
    store: BlobStore, other: bytes
) -> None:
    store.put(KEY, b"text")
    with pytest.raises(BlobConflictError):
        store.put(KEY, other)
    assert store.get(KEY, sha256_hex(b"text")) == b"text"


def test_what_was_never_put_is_missing(store: BlobStore) -> None:
    with pytest.raises(BlobMissingError):
        store.get(KEY, sha256_hex(b"text"))


def test_a_folder_of_blobs_is_not_a_blob(store: BlobStore) -> None:
    store.put(KEY, b"text")
    with pytest.raises(BlobMissingError):
        store.get("extracted_plaintext/class-a/e001", sha256_hex(b"text"))


def test_bytes_without_the_hash_they_must_have_are_not_given(store: BlobStore) -> None:
    store.put(KEY, b"text")
    with pytest.raises(BlobCorruptedError):
        store.get(KEY, sha256_hex(b"other"))


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_outside_the_grammar_is_refused_by_put_and_get(store: BlobStore, key: str) -> None:
    with pytest.raises(InvalidBlobKeyError):
        store.put(key, b"text")
    with pytest.raises(InvalidBlobKeyError):
        store.get(key, sha256_hex(b"text"))


@pytest.mark.parametrize("prefix", ["", "..", "a/..", "/", "a/", ".tmp-x", "A"])
def test_a_prefix_outside_the_grammar_is_refused(store: BlobStore, prefix: str) -> None:
    with pytest.raises(InvalidBlobKeyError):
        list(store.keys(prefix))


def test_keys_below_a_prefix_are_listed_in_order_whole_parts_only(store: BlobStore) -> None:
    for key in ("text/b/e002/x", "text/a/e001/x", "text/a/e001/w", "text/ab/e001/x", "raw/a/x"):
        store.put(key, b"text")
    assert list(store.keys("text/a")) == ["text/a/e001/w", "text/a/e001/x"]
    assert list(store.keys("text")) == sorted(store.keys("text"))
    assert len(list(store.keys("text"))) == 4
    assert list(store.keys("nothing")) == []


def test_of_writers_with_other_bytes_for_one_key_exactly_one_wins(store: BlobStore) -> None:
    for turn in range(10):
        key = f"raw/class-a/{turn}"
        gate = threading.Barrier(4)
        won: list[bytes] = []
        lost: list[bytes] = []

        def write(data: bytes, key: str = key, gate: threading.Barrier = gate) -> None:
            gate.wait()
            try:
                store.put(key, data)
            except BlobConflictError:
                lost.append(data)  # noqa: B023 - joined before the next turn
            else:
                won.append(data)  # noqa: B023

        threads = [
            threading.Thread(target=write, args=(f"writer {number}".encode() * 500,))
            for number in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 3)
        assert store.get(key, sha256_hex(won[0])) == won[0]
    assert len(list(store.keys("raw"))) == 10


def test_writers_of_the_same_bytes_all_win(store: BlobStore) -> None:
    failed: list[Exception] = []
    gate = threading.Barrier(4)

    def write() -> None:
        gate.wait()
        try:
            store.put(KEY, b"text" * 1000)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert store.get(KEY, sha256_hex(b"text" * 1000)) == b"text" * 1000
