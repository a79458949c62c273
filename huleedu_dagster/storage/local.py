"""Blobs in a local folder: temporary file, fsync, link into place, fsync of the folder."""

import errno
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Self

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.grammar import check_key, check_prefix
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
)

_TEMPORARY = ".tmp-"
_PIECE_BYTES = 256 * 1024
_DAMAGED = "the blob does not have the hash it was stored with"
_USED_ONCE = "the writer of a blob is used once, inside its block"


class LocalBlobStore:
    """A blob store in a folder of this machine.

    Args:
        root: The folder; made when the first blob is put.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes) -> None:
        """See `BlobStore.put`."""
        target = self._path(key)
        if target.exists():
            _check_same(target, sha256_hex(data), len(data))
            _sync_folder(target.parent)
            return
        with LocalBlobWriter(target) as writer:
            writer.write(data)
            writer.commit()

    def writer(self, key: str) -> "LocalBlobWriter":
        """See `BlobStore.writer`."""
        return LocalBlobWriter(self._path(key))

    def secure(self, keys: Iterable[str]) -> None:
        """See `BlobStore.secure`."""
        for folder in {self._path(key).parent for key in keys}:
            _sync_folder(folder)

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        with self._opened(key) as stream:
            data = stream.read()
        if sha256_hex(data) != sha256:
            raise BlobCorruptedError(_DAMAGED)
        return data

    def pieces(self, key: str, sha256: str) -> Iterator[bytes]:
        """See `BlobStore.pieces`."""
        with self._opened(key) as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                raise BlobCorruptedError(_DAMAGED)
        # Opened again, so that no file stays open for one that is never asked for its pieces.
        return self._pieces(key)

    def has(self, key: str) -> bool:
        """See `BlobStore.has`."""
        try:
            return stat.S_ISREG(self._path(key).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            self._check_root()
            return False

    def keys(self, prefix: str) -> Iterator[str]:
        """See `BlobStore.keys`."""
        check_prefix(prefix)
        folder = self._root / prefix
        if not folder.exists():
            self._check_root()
            return
        # Unlike `rglob`, this raises when a folder cannot be listed.
        for path in sorted(_files(folder)):
            yield path.relative_to(self._root).as_posix()

    def sweep(self, older_than: float) -> int:
        """Delete what writers left that were killed; blobs are never touched.

        A file that is being written is told by its age, so other processes may write meanwhile.

        Args:
            older_than: Seconds since the last byte was written, far more than a writer ever waits.

        Returns:
            How many files were deleted.

        Raises:
            OSError: The store cannot be listed, or a file cannot be deleted.
        """
        before = time.time() - older_than
        return sum(_delete_if_older(it, before) for it in _temporaries(self._root))

    def _opened(self, key: str) -> BufferedReader:
        try:
            return self._path(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._check_root()
            raise BlobMissingError("the blob is not in the store") from None

    def _pieces(self, key: str) -> Iterator[bytes]:
        with self._opened(key) as stream:
            while piece := stream.read(_PIECE_BYTES):
                yield piece

    def _check_root(self) -> None:
        # Nothing is in a store that was never used; in one that is no folder, nobody knows.
        if self._root.exists() and not self._root.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "the blob store is no folder")

    def _path(self, key: str) -> Path:
        check_key(key)
        return self._root / key


class LocalBlobWriter:
    """A `BlobWriter` into a temporary file beside its target; nothing is buffered here.

    Args:
        target: Where the blob is kept when it is committed; its folder is made if need be.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._hash = hashlib.sha256()
        self._size = 0
        self._temporary: Path | None = None
        self._descriptor: int | None = None

    @property
    def sha256(self) -> str:
        """See `BlobWriter.sha256`."""
        return self._hash.hexdigest()

    @property
    def size(self) -> int:
        """See `BlobWriter.size`."""
        return self._size

    def write(self, chunk: bytes) -> None:
        """See `BlobWriter.write`."""
        descriptor, _ = self._opened()
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            # Part of the chunk may be in the file: it can no longer be committed.
            self._abandon()
            raise
        self._hash.update(chunk)
        self._size += len(chunk)

    def commit(self, *, secure: bool = True) -> None:
        """See `BlobWriter.commit`."""
        descriptor, temporary = self._opened()
        try:
            os.fsync(descriptor)
            # A link, unlike a rename, never replaces what another writer put there meanwhile.
            os.link(temporary, self._target)
        except FileExistsError:
            _check_same(self._target, self.sha256, self._size)
        finally:
            self._abandon()
        if secure:
            _sync_folder(self._target.parent)

    def __enter__(self) -> Self:
        """See `BlobWriter.__enter__`."""
        if self._temporary is not None:
            raise ValueError(_USED_ONCE)
        self._temporary = self._target.parent / f"{_TEMPORARY}{uuid.uuid4().hex}"
        try:
            self._descriptor = _create(self._temporary)
        except FileNotFoundError:
            _make_folder(self._target.parent)
            self._descriptor = _create(self._temporary)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `BlobWriter.__exit__`."""
        self._abandon()

    def _opened(self) -> tuple[int, Path]:
        if self._descriptor is None or self._temporary is None:
            raise ValueError(_USED_ONCE)
        return self._descriptor, self._temporary

    def _abandon(self) -> None:
        if self._descriptor is None or self._temporary is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.close(descriptor)
        finally:
            self._temporary.unlink(missing_ok=True)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


def _check_same(target: Path, sha256: str, size: int) -> None:
    with target.open("rb") as stream:
        same = os.fstat(stream.fileno()).st_size == size
        if not same or hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
            raise BlobConflictError("other bytes are stored under this key")


def _make_folder(folder: Path) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        _sync_folder(path.parent)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path)
        elif not path.name.startswith(_TEMPORARY):
            yield path


def _temporaries(folder: Path) -> Iterator[Path]:
    # Others make and remove folders meanwhile.
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _temporaries(Path(entry.path))
            elif entry.name.startswith(_TEMPORARY):
                yield Path(entry.path)


def _delete_if_older(path: Path, before: float) -> bool:
    try:
        if path.stat().st_mtime >= before:
            return False
        path.unlink()
    except FileNotFoundError:
        # Its writer ended, or another process swept it.
        return False
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
