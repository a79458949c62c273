"""A bucket that people and programs drop files into: listed and read here, never written to.

Names of its objects are names of people's files; no error shows one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Self, TypeVar

from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.s3 import S3Options, open_client
from huleedu_dagster.storage.s3_client import Patience, passes, plain_errors

PIECE_BYTES = 256 * 1024
"""What is read at once, in bytes; an object that is larger waits on the disk."""
_SETTING = "HULEEDU_INBOX_BUCKET"
# Whoever looks every few seconds need not wait for long, and has 60 s in all.
_PATIENCE = Patience(times=1, pause=0.2)
_SILENCE_SECONDS = 10.0
# Connections that try again by themselves log addresses, and with them names of files.
_ONCE = Patience(times=0, pause=0)
_Value = TypeVar("_Value")


class UnreadableObjectError(Exception):
    """The server has an object and does not give it; others it may well give."""


class BusyObjectError(UnreadableObjectError):
    """The server does not give an object for the moment."""


@dataclass(frozen=True, slots=True)
class InboxObject:
    """One object as the server lists it.

    Attributes:
        name: Its whole name in the bucket.
        size: Size in bytes.
        etag: The server's mark of its content.
        modified: When it was put, in UTC.
    """

    name: str
    size: int
    etag: str
    modified: datetime | None


class InboxBucket:
    """The inbox bucket; the key needs to list it and to read from it.

    Args:
        options: Where the bucket is.
    """

    def __init__(self, options: S3Options) -> None:
        self._bucket = options.bucket
        self._spool = options.spool
        self._patience = options.patience
        self._client = open_client(replace(options, patience=_ONCE))

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The inbox bucket of an installation that has one, on the server of its blobs."""
        options = S3Options.of(settings)
        return cls(
            replace(
                options,
                bucket=settings.inbox_bucket,
                read_seconds=min(options.read_seconds, _SILENCE_SECONDS),
                patience=_PATIENCE,
            )
        )

    def check(self) -> None:
        """Ask whether it can be listed and, if something is in it, read.

        Raises:
            OSError: The server cannot be reached, has no such bucket or refuses the key.
        """
        with self._plain_errors():
            self._ask(self._look_at_the_first)

    def top(self) -> list[str]:
        """What is at the top: names of objects, and prefixes, which end with `/`.

        A thousand names are one request, however many objects are below a prefix.

        Raises:
            OSError: It cannot be listed; a failed listing is never a short one.
        """
        with self._plain_errors():
            found = self._ask(lambda: list(self._client.list_objects(self._bucket)))
        return [it.object_name for it in found if it.object_name]

    def objects(self, prefix: str = "") -> list[InboxObject]:
        """All objects below a prefix, by name; markers of folders are left out.

        Args:
            prefix: Ends with `/`, or is empty for the whole bucket.

        Raises:
            OSError: It cannot be listed; a failed listing is never a short one.
        """
        with self._plain_errors():
            found = self._ask(
                lambda: list(self._client.list_objects(self._bucket, prefix, recursive=True))
            )
        objects = [
            InboxObject(it.object_name, it.size or 0, it.etag or "", it.last_modified)
            for it in found
            if it.object_name and not it.object_name.endswith("/")
        ]
        # Servers differ in whether `a/b` is before `a-b`.
        return sorted(objects, key=lambda it: it.name)

    @contextmanager
    def opened(self, name: str, most: int) -> Iterator[IO[bytes]]:
        """The bytes of one version of an object, at their beginning; kept until the block ends.

        Args:
            name: The object.
            most: How large it may be, in bytes.

        Raises:
            UnreadableObjectError: The server refuses or has lost it, or it is larger.
            BusyObjectError: The server does not give it for the moment.
            OSError: The server does not answer, or there is no room for it here.
        """
        self._spool.mkdir(parents=True, exist_ok=True)
        # Without a name: nothing is left of it, even by a process that is killed.
        with SpooledTemporaryFile(PIECE_BYTES, dir=str(self._spool)) as stream:
            self._fetch(name, most, stream)
            stream.seek(0)
            yield stream

    def _look_at_the_first(self) -> None:
        first = next(self._client.list_objects(self._bucket, recursive=True), None)
        if first is None or first.object_name is None:
            return
        try:
            self._client.stat_object(self._bucket, first.object_name)
        except S3Error as error:
            # Somebody may have removed it meanwhile.
            if error.code != "NoSuchKey":
                raise

    def _fetch(self, name: str, most: int, stream: IO[bytes]) -> None:
        def fetch() -> None:
            # Less of it may have come before, and of another version.
            stream.seek(0)
            stream.truncate()
            response = self._client.get_object(self._bucket, name)
            try:
                for piece in response.stream(PIECE_BYTES):
                    if stream.tell() + len(piece) > most:
                        raise UnreadableObjectError("an object is larger than it may be")
                    stream.write(piece)
            finally:
                response.close()
                response.release_conn()

        with self._plain_errors():
            try:
                self._ask(fetch)
            except (MaxRetryError, HTTPTimeoutError):
                # Nothing came. Either nobody is there, which this asks, or it is this object.
                next(self._client.list_objects(self._bucket), None)
                raise BusyObjectError("the S3 server does not answer for an object") from None
            except (MinioException, HTTPError, ValueError) as error:
                # The server is there. One object that it cannot give, or that has a name for which
                # the SDK has no address, must not keep all others out.
                busy = isinstance(error, HTTPError)
                busy |= isinstance(error, MinioException) and passes(error)
                kind = BusyObjectError if busy else UnreadableObjectError
                raise kind("the S3 server does not give an object") from None

    def _ask(self, call: Callable[[], _Value]) -> _Value:
        """What `call` gives; it is called again after what may go well the next time."""
        for attempt in range(self._patience.times):
            try:
                return call()
            except MinioException as error:
                if not passes(error):
                    raise
            except HTTPError as error:
                # It was waited for; whoever waits as long again has no time for the others.
                if _is_silence(error):
                    raise
            time.sleep(self._patience.pause * 2**attempt)
        return call()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            with plain_errors(self._bucket, _SETTING):
                yield
        except OSError as error:
            # Without its cause, which holds the address and with it a name.
            raise error from None


def _is_silence(error: HTTPError) -> bool:
    reason = error.reason if isinstance(error, MaxRetryError) else error
    return isinstance(reason, ReadTimeoutError)
