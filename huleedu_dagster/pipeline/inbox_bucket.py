"""The inbox bucket: watched like the inbox folder, what is before the first `/` being the batch.

Objects are left where they are. They have no time to settle: S3 shows an object when all of it has
arrived, and gives one version of it as a whole.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

from huleedu_dagster.domain.actions import INBOX
from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_batch_id, is_ignored_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox_places import BUCKET_MARK, COMPLETE_FILE, Listing, Names
from huleedu_dagster.pipeline.inbox_sweep import Sweep, Sweeper
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.pipeline.sources import (
    MAX_ZIP_BYTES,
    BusyFileError,
    Source,
    UnreadableFileError,
    archive_members,
    is_archive,
)
from huleedu_dagster.settings import Settings
from huleedu_dagster.storage.inbox_bucket import (
    PIECE_BYTES,
    BusyObjectError,
    InboxBucket,
    InboxObject,
    UnreadableObjectError,
)

CLOSED_LOOKS = 30
"""Closed batches that one sweep lists; each is a request, and most have nothing new for ever."""


@dataclass(frozen=True, slots=True)
class BucketInbox:
    """Watches a bucket.

    Attributes:
        settings: Settings of batches that nobody registered.
        max_bytes: Largest file that is taken in, in bytes.
        closed_looks: Closed batches that one sweep looks at.
    """

    bucket: InboxBucket
    intake: Intake
    settings: BatchSettings
    max_bytes: int
    closed_looks: int = CLOSED_LOOKS

    def sweep(self, allowance: Allowance, after: str = "") -> tuple[Sweep, str]:
        """Take in what is new in the batches that are not closed, and in some closed ones in turn.

        Args:
            allowance: What may be done; the rest waits for the next sweep.
            after: Where the sweep before ended; empty for the first. It says whose turn it is and
                nothing about what was seen, so that any value is fine.

        Returns:
            What was found; and where this sweep ended.

        Raises:
            OSError: The bucket cannot be listed or the server is away, in one sentence that names
                no file.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        place = _Bucket(self.bucket, self.closed_looks)
        intake = self.intake.by(self.intake.ledger.acting(INBOX))
        sweeper = Sweeper(place, intake, self.settings, self.max_bytes)
        try:
            return sweeper.sweep(allowance, after)
        except OSError:
            # Batches that nobody can see are not quiet, and what waits for them would be late.
            with self.intake.ledger.write() as tx:
                tx.inbox.keep_open(place.mark)
            raise


def not_taken_in(settings: Settings) -> list[str]:
    """What is in the inbox bucket and is not taken in, each with the reason.

    For `huleedu doctor`, and for the terminal alone: it holds names of files. It lists the whole
    bucket, about 0.15 s for a thousand objects, and reads none but the first.

    Raises:
        OSError: The bucket cannot be listed or read, with what to do about it.
    """
    bucket = InboxBucket.of(settings)
    bucket.check()
    top = [f"{it} (no name of a batch)" for it in _misnamed(bucket.top())]
    below = (_trouble(it, settings.max_upload_bytes) for it in bucket.objects())
    return [*top, *(it for it in below if it is not None)]


def _trouble(it: InboxObject, max_bytes: int) -> str | None:
    batch_id, _, name = it.name.partition("/")
    if not is_batch_id(batch_id) or not name or is_ignored_path(name):
        return None
    try:
        essay_path(name)
    except InvalidIdError:
        return f"{it.name} (its name cannot be an essay's)"
    most = MAX_ZIP_BYTES if is_archive(name) else max_bytes
    return f"{it.name} (larger than {most} bytes)" if it.size > most else None


def _misnamed(top: Sequence[str]) -> list[str]:
    return [
        it
        for it in top
        if not is_ignored_path(it) and not (it.endswith("/") and is_batch_id(it[:-1]))
    ]


@dataclass(frozen=True, slots=True)
class _Object:
    """An object, see `InboxFile`.

    It is read as it is by then, which may be a later version; the next listing tells, and the same
    bytes once more change nothing.
    """

    bucket: InboxBucket
    listed: InboxObject
    name: str

    def signature(self) -> str:
        return _signature(self.listed)

    def is_settled(self) -> bool:
        return True

    @contextmanager
    def sources(self, max_bytes: int) -> Iterator[Sequence[Source]]:
        size = self.listed.size
        if not is_archive(self.name) or size > MAX_ZIP_BYTES:
            yield [Source(self.name, size, partial(self._pieces, max_bytes))]
            return
        with self._opened(MAX_ZIP_BYTES) as stream:
            members = archive_members(stream, max_bytes=max_bytes, prefix=f"{self.name}/")
            whole = Source(self.name, _size_of(stream), partial(_pieces_of, stream))
            yield [whole] if members is None else members

    def _pieces(self, max_bytes: int) -> Iterator[bytes]:
        with self._opened(max_bytes) as stream:
            yield from _pieces_of(stream)

    @contextmanager
    def _opened(self, most: int) -> Iterator[IO[bytes]]:
        try:
            with self.bucket.opened(self.listed.name, most) as stream:
                yield stream
        except BusyObjectError:
            raise BusyFileError("an object cannot be read for the moment") from None
        except UnreadableObjectError:
            raise UnreadableFileError("an object cannot be read") from None


@dataclass(frozen=True, slots=True)
class _Bucket:
    """The bucket as a `Place`."""

    bucket: InboxBucket
    closed_looks: int | None
    # No path inside a batch of the folder begins so.
    mark: str = BUCKET_MARK

    def names(self) -> Names:
        top = self.bucket.top()
        batches = [it[:-1] for it in top if it.endswith("/") and is_batch_id(it[:-1])]
        return Names(batches, len(_misnamed(top)))

    def look(self, batch_id: str) -> Listing:
        prefix = f"{batch_id}/"
        named = [(it.name.removeprefix(prefix), it) for it in self.bucket.objects(prefix)]
        markers = [_signature(it) for name, it in named if name == COMPLETE_FILE]
        return Listing(
            [_Object(self.bucket, it, name) for name, it in named if not is_ignored_path(name)],
            markers[0] if markers else None,
        )


def _signature(it: InboxObject) -> str:
    return hash_of([it.etag, it.size, it.modified.isoformat() if it.modified else ""])


def _size_of(stream: IO[bytes]) -> int:
    return stream.seek(0, 2)


def _pieces_of(stream: IO[bytes]) -> Iterator[bytes]:
    stream.seek(0)
    while piece := stream.read(PIECE_BYTES):
        yield piece
