"""Blobs in a bucket of an S3 server: hashed here, sent once on the condition that the key is free.

The server makes an object visible when all of it has arrived, and refuses to replace one; see
`docs/storage.md`.
"""

import base64
import hashlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import IO, Self, TypeVar

from minio.datatypes import Object
from minio.error import S3Error
from urllib3 import BaseHTTPResponse, Timeout

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.grammar import check_key, check_prefix
from huleedu_dagster.storage.port import (
    BlobConflictError,
    BlobCorruptedError,
    BlobMissingError,
    BlobStoreError,
)
from huleedu_dagster.storage.s3_client import (
    Patience,
    S3Client,
    again,
    connections,
    plain_errors,
)

_PIECE_BYTES = 256 * 1024
# A server may stop reading what it refuses, which looks like a fault of the network.
_ASK_FIRST_BYTES = 256 * 1024
_TAKEN = "PreconditionFailed"
_DAMAGED = "the blob does not have the hash it was stored with"
# Less than those wait who ask whether the intake is ready.
_PATIENCE = Patience(times=4, pause=0.2)
_USED_ONCE = "the writer of a blob is used once, inside its block"
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where the bucket is and how it is reached.

    Attributes:
        endpoint: Host and port of the server.
        bucket: Bucket of the blobs.
        access_key: Name of the key.
        secret_key: The key itself.
        spool: Folder for what does not fit into memory on its way; made when it is needed.
        secure: Whether by HTTPS.
        region: Region of the bucket.
        connect_seconds: How long a connection may take.
        read_seconds: How long the server may be silent.
        patience: How a request is tried again.
    """

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    spool: Path
    secure: bool = True
    region: str = "us-east-1"
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    patience: Patience = _PATIENCE

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The bucket of an installation's blobs."""
        secret = settings.s3_secret_key
        return cls(
            endpoint=settings.s3_endpoint,
            bucket=settings.s3_bucket,
            access_key=settings.s3_access_key,
            secret_key=secret.get_secret_value() if secret else "",
            spool=settings.s3_spool_folder,
            secure=settings.s3_secure,
            region=settings.s3_region,
            connect_seconds=settings.s3_connect_seconds,
            read_seconds=settings.s3_read_seconds,
        )


def open_client(options: S3Options) -> S3Client:
    """A client of the server; nothing is asked of it yet."""
    return S3Client(
        options.endpoint,
        access_key=options.access_key,
        secret_key=options.secret_key,
        secure=options.secure,
        region=options.region,
        http_client=connections(
            Timeout(connect=options.connect_seconds, read=options.read_seconds),
            options.patience,
        ),
    )


class S3BlobStore:
    """A blob store in a bucket; many threads may use it at once.

    Args:
        options: Where the bucket is.
    """

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._spool = options.spool
        self._patience = options.patience
        self._client = open_client(options)
        # Until the server has refused to replace something, nothing is left to its word.
        self._keeps_what_it_has = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The store of an installation."""
        return cls(S3Options.of(settings))

    def check(self) -> None:
        """Ask for the bucket's content, and throw the answer away.

        Raises:
            OSError: The server cannot be reached, has no such bucket or refuses the key.
        """
        with plain_errors(self._bucket):
            next(self._client.list_objects(self._bucket), None)

    def put(self, key: str, data: bytes) -> None:
        """See `BlobStore.put`."""
        check_key(key)
        self._keep(key, BytesIO(data), len(data), hashlib.sha256(data).digest())

    def writer(self, key: str) -> "S3BlobWriter":
        """See `BlobStore.writer`."""
        check_key(key)
        return S3BlobWriter(self._spooled, partial(self._keep, key))

    def secure(self, keys: Iterable[str]) -> None:
        """See `BlobStore.secure`; what a bucket holds is as durable as it gets."""
        for key in keys:
            check_key(key)

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        data = self._read(key, lambda response: response.read())
        if sha256_hex(data) != sha256:
            raise BlobCorruptedError(_DAMAGED)
        return data

    def pieces(self, key: str, sha256: str) -> Iterator[bytes]:
        """See `BlobStore.pieces`."""
        check_key(key)
        stream = self._spooled()
        try:
            if self._read(key, lambda response: _hash_of(response, stream)) != sha256:
                raise BlobCorruptedError(_DAMAGED)
        except BaseException:
            stream.close()
            raise
        found = _pieces(stream)
        # Somebody may never ask for the first piece.
        weakref.finalize(found, stream.close)
        return found

    def has(self, key: str) -> bool:
        """See `BlobStore.has`."""
        check_key(key)
        with plain_errors(self._bucket):
            if self._stat(key) is not None:
                return True
            # Of a bucket that is not there the answer to the first question is the same.
            next(self._client.list_objects(self._bucket, key), None)
            return False

    def keys(self, prefix: str) -> Iterator[str]:
        """See `BlobStore.keys`."""
        check_prefix(prefix)
        with plain_errors(self._bucket):
            listed = self._client.list_objects(self._bucket, f"{prefix}/", recursive=True)
            names = [name for it in listed if (name := it.object_name or "")[-1:] != "/"]
        # Servers differ in whether `a/b` is before `a-b`; a folder has it so.
        names.sort(key=lambda name: name.split("/"))
        yield from names

    def _spooled(self) -> IO[bytes]:
        self._spool.mkdir(parents=True, exist_ok=True)
        # Without a name: nothing is left of it, even by a process that is killed.
        return SpooledTemporaryFile(_PIECE_BYTES, dir=str(self._spool))

    def _keep(self, key: str, body: IO[bytes], size: int, sha256: bytes) -> None:
        with plain_errors(self._bucket):
            ask_first = size > _ASK_FIRST_BYTES or not self._keeps_what_it_has
            if ask_first and self._has(key, size, sha256):
                return
            if not self._send(key, body, size, sha256):
                # Taken meanwhile, or by the same put, of which the answer was lost.
                if not self._has(key, size, sha256):
                    raise BlobStoreError(
                        "the S3 server has something under this key that is no blob"
                    )
                self._keeps_what_it_has = True
            elif not self._keeps_what_it_has and size <= _ASK_FIRST_BYTES:
                # The same bytes once more do no harm, whatever the server does with them.
                if self._send(key, body, size, sha256):
                    raise BlobStoreError(
                        "the S3 server replaces objects though it is asked not to "
                        "(If-None-Match); it cannot keep the blobs"
                    )
                self._keeps_what_it_has = True

    def _send(self, key: str, body: IO[bytes], size: int, sha256: bytes) -> bool:
        """Whether it was stored; if not, the key is taken."""
        put = partial(self._client.put_new, self._bucket, key, body, size, sha256)
        try:
            again(put, self._patience)
        except S3Error as error:
            if error.code == _TAKEN:
                return False
            raise
        return True

    def _has(self, key: str, size: int, sha256: bytes) -> bool:
        """Whether these bytes are stored.

        Raises:
            BlobConflictError: Others are.
        """
        found = self._stat(key)
        if found is None:
            return False
        same = found.size == size
        stored = (found.metadata or {}).get("x-amz-checksum-sha256")
        if same and stored is not None:
            same = stored == base64.b64encode(sha256).decode()
        elif same:
            same = self._read(key, _hash_of) == sha256.hex()
        if not same:
            raise BlobConflictError("other bytes are stored under this key")
        return True

    def _stat(self, key: str) -> Object | None:
        try:
            # Without this header, a server does not say the hash.
            headers: dict[str, str | list[str] | tuple[str]] = {"x-amz-checksum-mode": "ENABLED"}
            return self._client.stat_object(self._bucket, key, extra_headers=headers)
        except S3Error as error:
            if error.code == "NoSuchKey":
                return None
            raise

    def _read(self, key: str, take: Callable[[BaseHTTPResponse], _Read]) -> _Read:
        """What `take` makes of a blob's bytes; it is called again when they stop coming."""
        check_key(key)

        def read() -> _Read:
            response = self._client.get_object(self._bucket, key)
            try:
                return take(response)
            finally:
                response.close()
                response.release_conn()

        with plain_errors(self._bucket):
            try:
                return again(read, self._patience)
            except S3Error as error:
                if error.code == "NoSuchKey":
                    raise BlobMissingError("the blob is not in the store") from None
                raise


class S3BlobWriter:
    """A `BlobWriter` that sends the blob when it is committed; small ones wait in memory.

    Args:
        spool: Opens what a blob waits in.
        keep: Stores what is in it under the key, given its size and its hash.
    """

    def __init__(
        self, spool: Callable[[], IO[bytes]], keep: Callable[[IO[bytes], int, bytes], None]
    ) -> None:
        self._open = spool
        self._keep = keep
        self._hash = hashlib.sha256()
        self._size = 0
        self._begun = False
        self._stream: IO[bytes] | None = None

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
        stream = self._opened()
        try:
            stream.write(chunk)
        except BaseException:
            # Part of the chunk may be in it: it can no longer be committed.
            self._abandon()
            raise
        self._hash.update(chunk)
        self._size += len(chunk)

    def commit(self, *, secure: bool = True) -> None:
        """See `BlobWriter.commit`; in a bucket, every blob is secure."""
        stream = self._opened()
        try:
            self._keep(stream, self._size, self._hash.digest())
        finally:
            self._abandon()

    def __enter__(self) -> Self:
        """See `BlobWriter.__enter__`."""
        if self._begun:
            raise ValueError(_USED_ONCE)
        self._stream = self._open()
        self._begun = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `BlobWriter.__exit__`."""
        self._abandon()

    def _opened(self) -> IO[bytes]:
        if self._stream is None:
            raise ValueError(_USED_ONCE)
        return self._stream

    def _abandon(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


def _hash_of(response: BaseHTTPResponse, stream: IO[bytes] | None = None) -> str:
    """The hash of what comes, which is kept in the stream if there is one."""
    found = hashlib.sha256()
    if stream is not None:
        # Less of it may have come before.
        stream.seek(0)
        stream.truncate()
    for piece in response.stream(_PIECE_BYTES):
        found.update(piece)
        if stream is not None:
            stream.write(piece)
    return found.hexdigest()


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(_PIECE_BYTES):
        yield piece
    stream.close()
