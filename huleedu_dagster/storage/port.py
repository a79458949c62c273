"""The port of the blob store: write-once blobs under keys, content checked on read."""

from collections.abc import Iterator
from typing import Protocol


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

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of all blobs below a prefix (whole parts only), in order.

        Raises:
            OSError: The store cannot be listed; a failed listing is never an empty one.
        """
        ...
