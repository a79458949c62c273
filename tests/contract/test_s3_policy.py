"""The policies in docs/storage.md are enough for what is done, and for nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from minio.error import S3Error

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox_bucket import BucketInbox
from huleedu_dagster.pipeline.inbox_sweep import Sweep
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.storage.inbox_bucket import InboxBucket
from huleedu_dagster.storage.port import BlobConflictError, BlobMissingError
from huleedu_dagster.storage.s3 import S3BlobStore
from tests.support.dropping import drop, inbox_bucket
from tests.support.seaweed import client_of, new_bucket
from tests.support.seaweed_server import GUEST_KEY
from tests.support.workshop import Workshop

pytestmark = pytest.mark.slow

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage.md"
KEY = "raw_upload_blob/class-a/u001"
LARGE = b"the text" * 100_000


def policy_for(bucket: str, shown_for: str = "huleedu-blobs", without: str = "") -> str:
    """What the document shows, as the policy of a bucket that anybody with a key may use so.

    Args:
        bucket: The bucket.
        shown_for: The bucket in the document.
        without: An action that is left out.
    """
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (shown,) = [it for it in blocks if f":::{shown_for}" in it]
    policy = json.loads(shown.replace(shown_for, bucket))
    policy["Statement"] = [it for it in policy["Statement"] if it["Action"] != without]
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


def test_a_key_with_the_rights_for_the_inbox_takes_it_in_and_can_change_nothing(
    tmp_path: Path,
) -> None:
    shop = Workshop(tmp_path)
    with inbox_bucket(tmp_path) as options:
        drop(options, "class-a/a.txt")
        guest = replace(options, access_key=GUEST_KEY)
        bucket = InboxBucket(guest)
        inbox = BucketInbox(bucket, shop.intake, BatchSettings(), 10_000)
        with pytest.raises(PermissionError):
            inbox.sweep(Allowance(9))

        admin = client_of(options)
        listing_only = policy_for(options.bucket, "huleedu-inbox", without="s3:GetObject")
        admin.set_bucket_policy(options.bucket, listing_only)
        assert inbox.sweep(Allowance(9))[0] == Sweep(unreadable=1)
        with pytest.raises(PermissionError, match="what this key may do"):
            bucket.check()

        admin.set_bucket_policy(options.bucket, policy_for(options.bucket, "huleedu-inbox"))
        bucket.check()
        assert inbox.sweep(Allowance(9))[0] == Sweep(taken=1)
        with pytest.raises(S3Error, match="AccessDenied"):
            drop(guest, "class-a/b.txt")
        with pytest.raises(S3Error, match="AccessDenied"):
            client_of(guest).remove_object(options.bucket, "class-a/a.txt")
    shop.ledger.close()
