"""Which blob store an installation has."""

from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.local import LocalBlobStore
from huleedu_dagster.storage.port import BlobStore


def open_store(settings: Settings) -> BlobStore:
    """The blob store of an installation; nothing is asked of it yet."""
    if not settings.s3_endpoint:
        return LocalBlobStore(settings.blob_folder)
    # A heavy import that most installations never need.
    from huleedu_dagster.storage.s3 import S3BlobStore

    return S3BlobStore.of(settings)
