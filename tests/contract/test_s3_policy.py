"""The policy in docs/storage.md is enough for the store, and for nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from minio.error import S3Error

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.storage.port import BlobConflictError, BlobMissingError
from huleedu_dagster.storage.s3 import S3BlobStore
from tests.support.seaweed import client_of, new_bucket
from tests.support.seaweed_keeper import GUEST_KEY

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage.md"
KEY = "raw_upload_blob/class-a/u001"
LARGE = b"the text" * 100_000


def policy_for(bucket: str) -> str:
    """What the document shows, as the policy of a bucket that anybody with a key may use so."""
    (shown,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    policy = json.loads(shown.replace("huleedu-blobs", bucket))
    for statement in policy["Statement"]:
        statement["Principal"] = {"AWS": "*"}
    return json.dumps(policy)


def test_a_key_with_these_rights_does_all_that_the_store_does_and_cannot_delete(
    tmp_path: Path,
) -> None:
    options = new_bucket(tmp_path)
    guest = replace(options, access_key=GUEST_KEY)
    with pytest.raises(PermissionError):
        S3BlobStore(guest).check()
    client_of(options).set_bucket_policy(options.bucket, policy_for(options.bucket))

    store = S3BlobStore(guest)
    store.check()
    for _ in range(2):
        store.put(KEY, LARGE)
    with pytest.raises(BlobConflictError):
        store.put(KEY, b"other")
    with pytest.raises(BlobMissingError):
        store.get(f"{KEY}-2", sha256_hex(LARGE))
    assert b"".join(store.pieces(KEY, sha256_hex(LARGE))) == LARGE
    assert list(store.keys("raw_upload_blob")) == [KEY]
    with pytest.raises(S3Error, match="AccessDenied"):
        client_of(guest).remove_object(options.bucket, KEY)
    with pytest.raises(S3Error, match="AccessDenied"):
        client_of(guest).set_bucket_policy(options.bucket, policy_for(options.bucket))
