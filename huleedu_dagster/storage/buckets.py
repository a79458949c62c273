"""Buckets of an installation: made at its set-up, where the key may."""

from dataclasses import replace

from minio.error import S3Error

from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.s3 import S3Options, open_client
from huleedu_dagster.storage.s3_client import Patience, S3Client, plain_errors

_SETTINGS = ("s3_bucket", "inbox_bucket")
_NONE = "NoSuchBucket"
_TAKEN = frozenset({"BucketAlreadyExists", "BucketAlreadyOwnedByYou"})


def make_buckets(settings: Settings) -> dict[str, bool]:
    """Make the buckets that are not there, and see that all can be listed.

    A key that may not make buckets is no fault where they are there.

    Args:
        settings: The installation.

    Returns:
        Whether each bucket was made; none where a folder keeps the blobs.

    Raises:
        OSError: The server cannot be reached, or refuses the key.
    """
    if not settings.s3_endpoint:
        return {}
    # Once: whoever calls tries again.
    client = open_client(replace(S3Options.of(settings), patience=Patience(times=0, pause=0.1)))
    named = {name: getattr(settings, name) for name in _SETTINGS}
    return {
        bucket: _make(client, bucket, settings.s3_region, f"HULEEDU_{name.upper()}")
        for name, bucket in named.items()
        if bucket
    }


def _make(client: S3Client, bucket: str, region: str, setting: str) -> bool:
    with plain_errors(bucket, setting):
        if _is_there(client, bucket):
            return False
        try:
            client.make_bucket(bucket, location=region)
        except S3Error as error:
            # Another set-up was quicker, or it is somebody else's, which the listing shows.
            if error.code not in _TAKEN:
                raise
        next(client.list_objects(bucket), None)
        return True


def _is_there(client: S3Client, bucket: str) -> bool:
    try:
        next(client.list_objects(bucket), None)
    except S3Error as error:
        if error.code != _NONE:
            raise
        return False
    return True
