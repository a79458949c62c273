"""Dropping files into an inbox bucket, as people and programs do."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from minio.deleteobjects import DeleteObject

from huleedu_dagster.storage.s3 import S3Options
from tests.support.seaweed import client_of, new_bucket

GOOD = b"This essay is about teh sea and the ships on it."


@contextmanager
def inbox_bucket(folder: Path) -> Iterator[S3Options]:
    """A bucket of the test's own, removed at the end; an emptied one would still show folders.

    Args:
        folder: A folder of the test's own, for what waits.
    """
    options = new_bucket(folder)
    yield options
    client = client_of(options)
    everything = [DeleteObject(it) for it in names_in(options)]
    assert list(client.remove_objects(options.bucket, everything)) == []
    client.remove_bucket(options.bucket)


def drop(options: S3Options, name: str, data: bytes = GOOD) -> None:
    """Put an object, in place of an older one if there is one."""
    client_of(options).put_object(options.bucket, name, BytesIO(data), len(data))


def drop_all(options: S3Options, names: Iterable[str]) -> None:
    """Put many objects, each with its name in it."""
    client = client_of(options)

    def put(name: str) -> None:
        data = f"The essay {name} is about the sea and the ships on it.".encode()
        client.put_object(options.bucket, name, BytesIO(data), len(data))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(put, names))


def take_out(options: S3Options, name: str) -> None:
    """Remove an object."""
    client_of(options).remove_object(options.bucket, name)


def names_in(options: S3Options) -> list[str]:
    """Names of all objects."""
    found = client_of(options).list_objects(options.bucket, recursive=True)
    return sorted(str(it.object_name) for it in found)
