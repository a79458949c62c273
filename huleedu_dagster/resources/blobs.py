"""The blob store as a Dagster resource."""

from pathlib import Path

from dagster import ConfigurableResource

from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import BlobStore


class BlobStoreResource(ConfigurableResource[BlobStore]):
    """Gives the blob store of this installation.

    Attributes:
        folder: Folder of the local store.
    """

    folder: str

    def open(self) -> BlobStore:
        """The blob store."""
        return LocalBlobStore(Path(self.folder))
