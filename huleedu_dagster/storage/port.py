"""The port of the blob store: write-once blobs under keys, content checked on read."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Protocol, Self


class BlobStoreError(Exception):
    """Something is wrong with the store or with what it was asked."""


class BlobConflictError(BlobStoreError):
    """Other bytes are stored under this key already; they were left as they are."""


class BlobMissingError(BlobStoreError):
    """Nothing is stored under this key."""


class BlobCorruptedError(BlobStoreError):
    """The bytes under this key are not those that were stored."""


class InvalidBlobKeyError(BlobStoreError, ValueError):
    """The key does not fit the grammar of keys, or would leave the store."""


class StoreServerError(OSError):
    """A server that keeps objects cannot do what it was asked.

    Its message is a sentence of ours with a next step. It quotes no more than the name of a bucket,
    so it may be shown wherever operators look.
    """


class StoreRefusedError(StoreServerError, PermissionError):
    """It refuses the key that this installation has."""


class StoreSilentError(StoreServerError, TimeoutError):
    """It does not answer in time."""


class BlobWriter(Protocol):
    """One blob on its way into the store, piece by piece; a context manager.

    Every store promises:

    - Nobody sees anything under the key before `commit`. When `commit` returns, the whole blob is
      durable, unless it was asked not to wait for that; it never shows in part.
    - A block that ends without `commit`, by an exception or not, leaves no blob and gives the
      space back. A process that is killed may leave remains that no key shows.
    - What was written is hashed on its way and is not held in memory, but for a bounded buffer.
    - Keys are written once, as with `BlobStore.put`.

    One writer is used by one thread at a time; which thread that is may change between calls.
    """

    @property
    def sha256(self) -> str:
        """The hash of what was written up to now, hexadecimal; known before `commit`."""
        ...

    @property
    def size(self) -> int:
        """How much was written up to now, in bytes."""
        ...

    def write(self, chunk: bytes) -> None:
        """Add bytes to the end; an empty chunk is fine.

        Raises:
            OSError: The store cannot be reached or is full; nothing is promised.
            ValueError: The writer was committed already, or its block has not begun or has ended.
        """
        ...

    def commit(self, *, secure: bool = True) -> None:
        """Keep what was written under the key; the same bytes again are fine.

        Args:
            secure: Whether the blob must survive a power cut at once. If not, its bytes are safe
                and its key may be lost until `BlobStore.secure`, which is cheaper for many.

        After an exception nothing is promised and the writer cannot be committed again.

        Raises:
            BlobConflictError: Other bytes are stored under the key.
            OSError: The store cannot be reached or is full.
            ValueError: The writer was committed already, or its block has not begun or has ended.
        """
        ...

    def __enter__(self) -> Self:
        """Begin; nothing is taken from the store before this.

        Raises:
            OSError: The store cannot be reached or is full.
        """
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Abandon what was not committed."""
        ...


class BlobStore(Protocol):
    """Keeps bytes. What was put is durable when `put` returns, and never changes."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data`; the same bytes again are fine.

        Raises:
            BlobConflictError: Other bytes are stored under `key`.
            InvalidBlobKeyError: The key does not fit the grammar.
            OSError: The store cannot be reached or is full; nothing is promised.
        """
        ...

    def writer(self, key: str) -> BlobWriter:
        """A writer for bytes that arrive piece by piece.

        Raises:
            InvalidBlobKeyError: The key does not fit the grammar.
        """
        ...

    def secure(self, keys: Iterable[str]) -> None:
        """Make blobs durable that were committed with `secure=False`.

        Raises:
            OSError: The store cannot be reached; nothing is promised.
        """
        ...

    def get(self, key: str, sha256: str) -> bytes:
        """Read a blob and check it.

        Args:
            key: Where it is.
            sha256: Hash that it must have, hexadecimal.

        Raises:
            BlobMissingError: Nothing is stored under `key`.
            BlobCorruptedError: The bytes do not have this hash.
            OSError: The store cannot be reached.
        """
        ...

    def pieces(self, key: str, sha256: str) -> Iterator[bytes]:
        """Read a blob piece by piece, however large it is; checked as a whole before the first.

        Args:
            key: Where it is.
            sha256: Hash that it must have, hexadecimal.

        Raises:
            BlobMissingError: Nothing is stored under `key`.
            BlobCorruptedError: The bytes do not have this hash; no piece is given.
            OSError: The store cannot be reached.
        """
        ...

    def has(self, key: str) -> bool:
        """Whether something is stored under `key`, without reading it.

        Raises:
            InvalidBlobKeyError: The key does not fit the grammar.
            OSError: The store cannot be asked; that is never a missing blob.
        """
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of all blobs below a prefix (whole parts only), in order.

        Raises:
            OSError: The store cannot be listed; a failed listing is never an empty one.
        """
        ...
