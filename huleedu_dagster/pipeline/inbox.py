"""The inbox folder: every sub-folder is a batch, every file in it that has stopped changing an
essay. A file is left where it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import inf
from pathlib import Path

from huleedu_dagster.domain.actions import INBOX
from huleedu_dagster.domain.ids import is_batch_id, is_ignored_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox_places import BUCKET_MARK, COMPLETE_FILE, Listing, Names
from huleedu_dagster.pipeline.inbox_sweep import Sweep, Sweeper
from huleedu_dagster.pipeline.inbox_turns import Allowance
from huleedu_dagster.pipeline.intake import Intake
from huleedu_dagster.pipeline.sources import (
    Source,
    UnreadableFileError,
    archive_members,
    file_source,
    walk,
)

__all__ = ["Inbox", "Sweep", "misnamed"]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Watches a folder.

    Attributes:
        settings: Settings of batches that nobody registered.
        settle_seconds: Seconds a file must be unchanged before it is taken in.
        max_bytes: Largest file that is taken in, in bytes.
    """

    folder: Path
    intake: Intake
    settings: BatchSettings
    settle_seconds: float
    max_bytes: int

    def sweep(self, now: datetime, limit: int) -> Sweep:
        """Take in what is new.

        Args:
            now: The time, in UTC.
            limit: Files to take in at most; the rest waits for the next look.

        Raises:
            OSError: The inbox cannot be listed; a failed listing is never an empty one.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        place = _Folder(self.folder, now.timestamp() - self.settle_seconds)
        # To the end each time: no other sweep would begin where this one stopped.
        allowance = Allowance(limit, look_seconds=inf)
        intake = self.intake.by(self.intake.ledger.acting(INBOX))
        if not self.folder.exists():
            self._keep_open(place.mark)
            return Sweep()
        try:
            found, _ = Sweeper(place, intake, self.settings, self.max_bytes).sweep(allowance)
        except OSError:
            self._keep_open(place.mark)
            raise
        return found

    def _keep_open(self, mark: str) -> None:
        # Batches that nobody can see are not quiet, and what waits for them would be late.
        with self.intake.ledger.write() as tx:
            tx.inbox.keep_open(mark, others=(BUCKET_MARK,))


def misnamed(folder: Path) -> list[str]:
    """Names in an inbox that no batch can have; they are reported and never renamed.

    Raises:
        OSError: The inbox cannot be listed.
    """
    if not folder.exists():
        return []
    return sorted(
        path.name
        for path in folder.iterdir()
        if not is_ignored_path(path.name) and not (path.is_dir() and is_batch_id(path.name))
    )


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the folder, see `InboxFile`; it may change at any time."""

    path: Path
    name: str
    settled_before: float

    def signature(self) -> str:
        return _signature(self.path)

    def is_settled(self) -> bool:
        try:
            # The change time: a copy that keeps its old modification time is still new here.
            return self.path.stat().st_ctime <= self.settled_before
        except OSError:
            return False

    @contextmanager
    def sources(self, max_bytes: int) -> Iterator[Sequence[Source]]:
        members = archive_members(self.path, max_bytes=max_bytes, prefix=f"{self.name}/")
        yield [file_source(self.path, self.name)] if members is None else members


@dataclass(frozen=True, slots=True)
class _Folder:
    """The folder as a `Place`, all of which is looked at each time.

    Attributes:
        settled_before: A file that changed later is still being written, seconds since 1970.
    """

    folder: Path
    settled_before: float
    mark: str = ""
    closed_looks: int | None = None

    def names(self) -> Names:
        batches = [
            it.name
            for it in self.folder.iterdir()
            if it.is_dir() and not it.is_symlink() and is_batch_id(it.name)
        ]
        return Names(batches, len(misnamed(self.folder)))

    def look(self, batch_id: str) -> Listing:
        folder = self.folder / batch_id
        marker = folder / COMPLETE_FILE
        try:
            # Before the others: what comes with it during the look is not left out.
            complete = _signature(marker) if marker.exists() else None
            paths = list(walk(folder))
        except OSError:
            # It may not be entered, or listed. Without its cause, which holds names of folders.
            raise UnreadableFileError("a folder of the inbox cannot be listed") from None
        files = [_File(it, it.relative_to(folder).as_posix(), self.settled_before) for it in paths]
        return Listing(files, complete)


def _signature(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return hash_of([status.st_size, status.st_mtime_ns, status.st_ctime_ns])
