"""What every blob store promises. Another store joins by adding its maker to `MAKERS`."""

import threading
from collections.abc import Callable
from functools import partial
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
from huleedu_dagster.storage.s3 import S3BlobStore
from tests.support.seaweed import s3_store

KEY = "extracted_plaintext/class-a/e001/ab12"
MAKERS: dict[str, Callable[[Path], BlobStore]] = {"local": LocalBlobStore, "s3": s3_store}
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


def test_a_blob_comes_in_pieces_too(store: BlobStore) -> None:
    for number, data in enumerate((b"", b"text", bytes(range(256)) * 5_000)):
        store.put(f"{KEY}{number}", data)
        pieces = list(store.pieces(f"{KEY}{number}", sha256_hex(data)))
        assert b"".join(pieces) == data
        assert max(map(len, pieces), default=0) <= 1_000_000


def test_pieces_are_checked_before_the_first_is_given(store: BlobStore) -> None:
    with pytest.raises(BlobMissingError):
        store.pieces(KEY, sha256_hex(b"text"))
    store.put(KEY, b"text")
    with pytest.raises(BlobCorruptedError):
        store.pieces(KEY, sha256_hex(b"other"))
    with pytest.raises(InvalidBlobKeyError):
        store.pieces("../etc/passwd", sha256_hex(b"text"))


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
    assert not store.has("extracted_plaintext/class-a/e001")


def test_a_blob_is_there_when_it_was_put(store: BlobStore) -> None:
    assert not store.has(KEY)
    store.put(KEY, b"")
    assert store.has(KEY)
    assert not store.has(f"{KEY}/deeper")
    assert not store.has(KEY[:-1])


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
    with pytest.raises(InvalidBlobKeyError):
        store.writer(key)
    with pytest.raises(InvalidBlobKeyError):
        store.has(key)


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


def test_keys_are_in_the_order_of_their_parts(store: BlobStore) -> None:
    ordered = ["raw/a/2", "raw/a/3", "raw/a-b/1", "raw/a-b/4", "raw/a_b/1", "raw/ab/1"]
    for key in reversed(ordered):
        store.put(key, b"text")
    assert list(store.keys("raw")) == ordered
    assert list(store.keys("raw/a")) == ordered[:2]


def test_of_writers_with_other_bytes_for_one_key_exactly_one_wins(store: BlobStore) -> None:
    # One server for the tests makes losers of such a race wait for a second.
    for turn in range(2 if isinstance(store, S3BlobStore) else 10):
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
    assert len(list(store.keys("raw"))) == turn + 1


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


def write(store: BlobStore, *chunks: bytes) -> None:
    """Write a whole blob in pieces under `KEY`."""
    with store.writer(KEY) as writer:
        for chunk in chunks:
            writer.write(chunk)
        writer.commit()


@pytest.mark.parametrize("chunks", [(), (b"",), (b"text",), (b"te", b"", b"xt"), (b"x",) * 5_000])
def test_what_is_written_in_pieces_is_got_in_one(store: BlobStore, chunks: tuple[bytes]) -> None:
    whole = b"".join(chunks)
    with store.writer(KEY) as writer:
        for chunk in chunks:
            writer.write(chunk)
        assert (writer.sha256, writer.size) == (sha256_hex(whole), len(whole))
        writer.commit()
    assert (writer.sha256, writer.size) == (sha256_hex(whole), len(whole))
    assert store.get(KEY, sha256_hex(whole)) == whole


def test_blobs_can_be_made_durable_after_they_were_committed(store: BlobStore) -> None:
    keys = [f"{KEY}-{number}" for number in range(3)]
    for key in keys:
        with store.writer(key) as writer:
            writer.write(key.encode())
            writer.commit(secure=False)
    store.secure(keys)
    store.secure([])
    assert [store.get(key, sha256_hex(key.encode())) for key in keys] == [
        key.encode() for key in keys
    ]


def test_a_hash_is_known_while_the_bytes_still_come(store: BlobStore) -> None:
    with store.writer(KEY) as writer:
        assert (writer.sha256, writer.size) == (sha256_hex(b""), 0)
        writer.write(b"te")
        assert (writer.sha256, writer.size) == (sha256_hex(b"te"), 2)
        writer.write(b"xt")
        assert (writer.sha256, writer.size) == (sha256_hex(b"text"), 4)


def test_nothing_is_seen_of_a_blob_before_it_is_committed(store: BlobStore) -> None:
    with store.writer(KEY) as writer:
        writer.write(b"text" * 100_000)
        assert list(store.keys("extracted_plaintext")) == []
        with pytest.raises(BlobMissingError):
            store.get(KEY, sha256_hex(b"text" * 100_000))
        writer.commit()
        assert list(store.keys("extracted_plaintext")) == [KEY]


class InterruptedWritingError(Exception):
    """The sender went away."""


@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_writer_that_is_interrupted_leaves_no_blob(store: BlobStore, chunks: int) -> None:
    def begin() -> None:
        with store.writer(KEY) as writer:
            for _ in range(chunks):
                writer.write(b"half of it")
            raise InterruptedWritingError

    with pytest.raises(InterruptedWritingError):
        begin()
    assert list(store.keys("extracted_plaintext")) == []
    write(store, b"something else")
    assert store.get(KEY, sha256_hex(b"something else")) == b"something else"


def test_a_writer_that_is_not_committed_leaves_no_blob(store: BlobStore) -> None:
    with store.writer(KEY) as writer:
        writer.write(b"text")
    assert list(store.keys("extracted_plaintext")) == []


def test_the_same_bytes_in_other_pieces_are_fine(store: BlobStore) -> None:
    write(store, b"text")
    write(store, b"te", b"xt")
    store.put(KEY, b"text")
    assert list(store.keys("extracted_plaintext")) == [KEY]
    assert store.get(KEY, sha256_hex(b"text")) == b"text"


@pytest.mark.parametrize("other", [b"", b"next", b"text and more"])
def test_a_writer_with_other_bytes_is_refused_and_the_first_are_kept(
    store: BlobStore, other: bytes
) -> None:
    store.put(KEY, b"text")
    with store.writer(KEY) as writer:
        writer.write(other)
        with pytest.raises(BlobConflictError):
            writer.commit()
        with pytest.raises(ValueError, match="once"):
            writer.commit()
    assert store.get(KEY, sha256_hex(b"text")) == b"text"


def refuse(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="inside its block"):
        call()


def test_a_writer_takes_nothing_outside_its_block_or_after_its_commit(store: BlobStore) -> None:
    writer = store.writer(KEY)
    refuse(partial(writer.write, b"x"))
    refuse(writer.commit)
    with writer:
        writer.write(b"text")
        writer.commit()
        refuse(partial(writer.write, b"x"))
        refuse(writer.commit)
    refuse(partial(writer.write, b"x"))
    refuse(writer.commit)
    refuse(writer.__enter__)
    assert store.get(KEY, sha256_hex(b"text")) == b"text"


def test_a_writer_may_be_handed_from_thread_to_thread(store: BlobStore) -> None:
    with store.writer(KEY) as writer:
        for chunk in (b"te", b"xt"):
            thread = threading.Thread(target=writer.write, args=(chunk,))
            thread.start()
            thread.join()
        thread = threading.Thread(target=writer.commit)
        thread.start()
        thread.join()
    assert store.get(KEY, sha256_hex(b"text")) == b"text"


def test_of_writers_that_are_open_at_once_for_one_key_the_first_to_commit_wins(
    store: BlobStore,
) -> None:
    with store.writer(KEY) as first, store.writer(KEY) as second, store.writer(KEY) as third:
        first.write(b"first")
        second.write(b"second")
        third.write(b"second")
        second.commit()
        third.commit()
        with pytest.raises(BlobConflictError):
            first.commit()
    assert store.get(KEY, sha256_hex(b"second")) == b"second"
