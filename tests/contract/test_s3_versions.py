"""What docs/storage.md promises of a bucket with versioning, on a real server."""

from pathlib import Path

import pytest
from minio import Minio
from minio.commonconfig import ENABLED
from minio.versioningconfig import VersioningConfig

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.port import BlobConflictError, BlobMissingError
from huleedu_dagster.storage.s3 import S3BlobStore, S3Options
from tests.support.seaweed import client_of, new_bucket

KEY = "raw_upload_blob/class-a/u001"
TEXT = b"the text"
SHA256 = sha256_hex(TEXT)


@pytest.fixture
def options(tmp_path: Path) -> S3Options:
    """A bucket with versioning."""
    options = new_bucket(tmp_path)
    client_of(options).set_bucket_versioning(options.bucket, VersioningConfig(ENABLED))
    return options


def versions(client: Minio, options: S3Options) -> list[bool]:
    """Of each version of everything in the bucket, whether it is a delete marker."""
    found = client.list_objects(options.bucket, recursive=True, include_version=True)
    return sorted(it.is_delete_marker for it in found)


def test_a_key_is_written_once_in_a_bucket_with_versioning(options: S3Options) -> None:
    store, client = S3BlobStore(options), client_of(options)
    store.put(KEY, TEXT)
    store.put(KEY, TEXT)
    with pytest.raises(BlobConflictError):
        store.put(KEY, b"another text")
    assert versions(client, options) == [False]
    assert store.get(KEY, SHA256) == TEXT


def test_a_delete_marker_hides_a_blob_and_lets_its_key_be_put_again(options: S3Options) -> None:
    store, client = S3BlobStore(options), client_of(options)
    store.put(KEY, TEXT)
    client.remove_object(options.bucket, KEY)
    assert versions(client, options) == [False, True]
    assert not store.has(KEY)
    assert list(store.keys("raw_upload_blob")) == []
    with pytest.raises(BlobMissingError):
        store.get(KEY, SHA256)
    store.put(KEY, TEXT)
    assert store.get(KEY, SHA256) == TEXT
    assert list(store.keys("raw_upload_blob")) == [KEY]
    # What was deleted past this program is kept.
    assert versions(client, options) == [False, False, True]
