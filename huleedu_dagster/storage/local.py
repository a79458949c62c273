"""Blobs in a local folder: temporary file, fsync, link into place, fsync of the folder."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
    InvalidBlobKeyError,
)

_KEY = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*){1,7}")
_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*(?:/[a-z0-9][a-z0-9_-]*)*")
_TEMPORARY = ".tmp-"


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
            self._check_same(target, data)
            _sync_folder(target.parent)
            return
        self._make_folder(target.parent)
        temporary = self._write_temporary(target.parent, data)
        try:
            # A link, unlike a rename, never replaces what another writer put there meanwhile.
            os.link(temporary, target)
        except FileExistsError:
            self._check_same(target, data)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise BlobMissingError("the blob is not in the store") from None
        if sha256_hex(data) != sha256:
            raise BlobCorruptedError("the blob does not have the hash it was stored with")
        return data

    def keys(self, prefix: str) -> Iterator[str]:
        """See `BlobStore.keys`."""
        if _PREFIX.fullmatch(prefix) is None:
            raise InvalidBlobKeyError("a prefix is made of whole parts of a key")
        folder = self._root / prefix
        if not folder.exists():
            return
        # Unlike `rglob`, this raises when a folder cannot be listed.
        for path in sorted(_files(folder)):
            yield path.relative_to(self._root).as_posix()

    def _path(self, key: str) -> Path:
        if _KEY.fullmatch(key) is None:
            raise InvalidBlobKeyError(
                "a key has two to eight parts of lower-case letters, digits, '-' and '_'"
            )
        return self._root / key

    def _check_same(self, target: Path, data: bytes) -> None:
        if target.stat().st_size != len(data) or target.read_bytes() != data:
            raise BlobConflictError("other bytes are stored under this key")

    def _make_folder(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in reversed(missing):
            _sync_folder(path.parent)

    def _write_temporary(self, folder: Path, data: bytes) -> Path:
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path)
        elif not path.name.startswith(_TEMPORARY):
            yield path


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
