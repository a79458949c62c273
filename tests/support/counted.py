"""A store that fails when told and counts what is read."""

from collections import Counter

from huleedu_dagster.storage.port import BlobStore
from tests.support.fakes import FlakyBlobStore


class CountedBlobStore(FlakyBlobStore):
    """`FlakyBlobStore` that counts reads by the kind of the blob."""

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)
        self.reads: Counter[str] = Counter()

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        self.reads[key.partition("/")[0]] += 1
        return super().get(key, sha256)
