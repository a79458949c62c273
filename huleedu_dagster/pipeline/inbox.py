"""The inbox: every sub-folder is a batch, every file in it that has stopped changing an essay.

A file is left where it is. It is taken in again only when its size or times change; what it was
is known from the ledger, so nothing about files is kept in Dagster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_batch_id, is_ignored_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.intake import Intake, Submission
from huleedu_dagster.pipeline.lifecycle import close, register
from huleedu_dagster.pipeline.sources import (
    UnreadableFileError,
    archive_members,
    file_source,
    walk,
)

COMPLETE_FILE = ".complete"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at the inbox found.

    Attributes:
        taken: Files taken in.
        waiting: Files still changing, or left for the next look.
        unreadable: Files that cannot be read, are too large or have a path that no essay can
            have, and folders that cannot be listed; all stay where they are.
        misnamed: Folders whose name is not a batch id, and files outside any folder.
    """

    taken: int = 0
    waiting: int = 0
    unreadable: int = 0
    misnamed: int = 0

    def __add__(self, other: "Sweep") -> "Sweep":
        """Both looks together."""
        return Sweep(
            self.taken + other.taken,
            self.waiting + other.waiting,
            self.unreadable + other.unreadable,
            self.misnamed + other.misnamed,
        )


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
        if not self.folder.exists():
            return Sweep()
        total = Sweep(misnamed=len(misnamed(self.folder)))
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and not folder.is_symlink() and is_batch_id(folder.name):
                total += self._sweep_batch(folder, now, limit - total.taken)
        return total

    def _sweep_batch(self, folder: Path, now: datetime, limit: int) -> Sweep:
        batch_id = folder.name
        try:
            seen = list(walk(folder))
        except OSError:
            # Not raised: the error holds names of folders, and other batches can be taken in.
            return Sweep(unreadable=1)
        files = [path for path in seen if _can_be_named(_name(path, folder))]
        unnamed = len(seen) - len(files)
        complete = (folder / COMPLETE_FILE).exists()
        if not files and not complete:
            return Sweep(unreadable=unnamed)
        with self.intake.ledger.read() as tx:
            known = tx.inbox.signatures(batch_id)
            registered = tx.batches.find(batch_id) is not None
        if not registered:
            register(self.intake.ledger, batch_id, settings=self.settings, source="inbox")
        new = [path for path in files if known.get(_name(path, folder)) != _signature(path)]
        settled = [path for path in new if self._is_settled(path, now)]
        found = Sweep(waiting=len(new) - len(settled), unreadable=unnamed)
        if settled:
            found += self._take_in(batch_id, folder, settled, limit)
        if found.waiting:
            self._keep_open(batch_id)
        elif complete:
            self._close_once(batch_id, folder, known)
        return found

    def _take_in(self, batch_id: str, folder: Path, paths: Sequence[Path], limit: int) -> Sweep:
        found = Sweep()
        taken: dict[str, str] = {}
        with self.intake.submission(batch_id) as submission:
            for path in paths:
                if found.taken >= limit:
                    found += Sweep(waiting=1)
                    continue
                signature = _signature(path)
                looked = self._take(submission, path, _name(path, folder), signature)
                found += looked
                if looked.taken:
                    taken[_name(path, folder)] = signature
        # Only now are they promised; what is not remembered is looked at again.
        with self.intake.ledger.write() as tx:
            for name, signature in taken.items():
                tx.inbox.remember(batch_id, name, signature)
        return found

    def _keep_open(self, batch_id: str) -> None:
        # A folder that files are still being copied to is not quiet.
        with self.intake.ledger.write() as tx:
            batch = tx.batches.get(batch_id)
            if batch.closed_at is None and batch.registration.source == "inbox":
                tx.batches.touch(batch_id, received_at=tx.now)

    def _close_once(self, batch_id: str, folder: Path, known: dict[str, str]) -> None:
        # Remembered, so that a batch which someone opened again is not closed by the same file.
        marker = _signature(folder / COMPLETE_FILE)
        if known.get(COMPLETE_FILE) == marker:
            return
        close(self.intake.ledger, batch_id, ClosedBy.REQUEST)
        with self.intake.ledger.write() as tx:
            tx.inbox.remember(batch_id, COMPLETE_FILE, marker)

    def _take(self, submission: Submission, path: Path, name: str, signature: str) -> Sweep:
        unreadable = 0
        try:
            members = archive_members(path, max_bytes=self.max_bytes, prefix=f"{name}/")
            sources = [file_source(path, name)] if members is None else members
        except UnreadableFileError:
            return Sweep(unreadable=1)
        for source in sources:
            try:
                data = source.read() if source.size <= self.max_bytes else None
            except UnreadableFileError:
                data = None
            if _signature(path) != signature:
                return Sweep(waiting=1)
            if data is None:
                unreadable += 1
            else:
                submission.receive(source.path, data)
        return Sweep(unreadable=unreadable) if unreadable else Sweep(taken=1)

    def _is_settled(self, path: Path, now: datetime) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        # The change time: a copy that keeps its old modification time is still new here.
        return now.timestamp() - status.st_ctime >= self.settle_seconds


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


def _can_be_named(name: str) -> bool:
    try:
        return bool(essay_path(name))
    except InvalidIdError:
        return False


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _signature(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return hash_of([status.st_size, status.st_mtime_ns, status.st_ctime_ns])
