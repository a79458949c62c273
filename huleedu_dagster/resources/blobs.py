"""The blob store as a Dagster resource."""

from pathlib import Path

from dagster import ConfigurableResource
from pydantic import Field

from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.choose import open_store
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import BlobStore


class BlobStoreResource(ConfigurableResource[BlobStore]):
    """Gives the blob store of this installation: raw uploads, and all that is made of them."""

    folder: str = Field(
        description="Folder of the local store; unused where the settings name an S3 server."
    )

    def open(self) -> BlobStore:
        """The blob store."""
        # Dagster shows and stores the configuration of resources; keys stay in the environment.
        settings = Settings()
        return open_store(settings) if settings.s3_endpoint else LocalBlobStore(Path(self.folder))
