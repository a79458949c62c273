"""The inbox: every sub-folder is a batch, every file in it that has stopped changing an essay.

A file is left where it is. It is taken in again only when its size or times change; what it was
is known from the ledger, so nothing about files is kept in Dagster.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError, essay_path, is_batch_id, is_ignored_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.intake import Intake, Receipt
from huleedu_dagster.pipeline.lifecycle import close, register
from huleedu_dagster.pipeline.sources import UnreadableFileError, archive_members, file_source

COMPLETE_FILE = ".complete"


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at the inbox found.

    Attributes:
        taken: Files taken in.
        waiting: Files still changing, or left for the next look.
        unreadable: Files that could not be read or are too large; they stay where they are.
        misnamed: Folders whose name is not a batch id, files outside any folder, and files whose
            path no essay can have.
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
        total = Sweep(misnamed=len(self.misnamed()))
        for folder in sorted(self.folder.iterdir()):
            if folder.is_dir() and is_batch_id(folder.name):
                total += self._sweep_batch(folder, now, limit - total.taken)
        return total

    def misnamed(self) -> list[str]:
        """Names in the inbox that no batch can have; they are reported and never renamed.

        Raises:
            OSError: The inbox cannot be listed.
        """
        if not self.folder.exists():
            return []
        return sorted(
            path.name
            for path in self.folder.iterdir()
            if not is_ignored_path(path.name) and not (path.is_dir() and is_batch_id(path.name))
        )

    def _sweep_batch(self, folder: Path, now: datetime, limit: int) -> Sweep:
        batch_id = folder.name
        everything = list(_files(folder))
        files = [it for it in everything if _is_nameable(_name(it, folder))]
        unnameable = len(everything) - len(files)
        complete = (folder / COMPLETE_FILE).exists()
        if not files and not complete:
            return Sweep()
        with self.intake.ledger.read() as tx:
            known = tx.inbox.signatures(batch_id)
            registered = tx.batches.find(batch_id) is not None
        if not registered:
            register(self.intake.ledger, batch_id, settings=self.settings, source="inbox")
        new = [path for path in files if known.get(_name(path, folder)) != _signature(path)]
        settled = [path for path in new if self._is_settled(path, now)]
        found = Sweep(waiting=len(new) - len(settled) + max(len(settled) - limit, 0))
        receipts: list[Receipt] = []
        for path in settled[: max(limit, 0)]:
            taken = self._take(batch_id, path, folder)
            found += Sweep(unreadable=1) if taken is None else Sweep(taken=1)
            receipts += taken or []
        if receipts:
            self.intake.finish_request(batch_id, receipts)
        if complete and not found.waiting:
            self._close_once(batch_id, folder, known)
        return found + Sweep(misnamed=unnameable)

    def _close_once(self, batch_id: str, folder: Path, known: dict[str, str]) -> None:
        # Remembered, so that a batch which someone opened again is not closed by the same file.
        signature = _signature(folder / COMPLETE_FILE)
        if known.get(COMPLETE_FILE) == signature:
            return
        close(self.intake.ledger, batch_id, ClosedBy.REQUEST)
        with self.intake.ledger.write() as tx:
            tx.inbox.remember(batch_id, COMPLETE_FILE, signature)

    def _take(self, batch_id: str, path: Path, folder: Path) -> list[Receipt] | None:
        name = _name(path, folder)
        signature = _signature(path)
        receipts: list[Receipt] = []
        try:
            members = archive_members(path, max_bytes=self.max_bytes, prefix=f"{name}/")
            for source in [file_source(path, name)] if members is None else members:
                if source.size > self.max_bytes:
                    return None
                data = source.read()
                if _signature(path) != signature:
                    return receipts
                receipts.append(self.intake.receive(batch_id, source.path, data))
        except UnreadableFileError:
            return None
        with self.intake.ledger.write() as tx:
            tx.inbox.remember(batch_id, name, signature)
        return receipts

    def _is_settled(self, path: Path, now: datetime) -> bool:
        try:
            status = path.stat()
        except OSError:
            return False
        # The change time too: a copy that keeps the old modification time is still new here.
        return now.timestamp() - max(status.st_mtime, status.st_ctime) >= self.settle_seconds


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        name = _name(path, folder)
        if path.is_file() and not path.is_symlink() and not is_ignored_path(name):
            yield path


def _is_nameable(name: str) -> bool:
    try:
        essay_path(name)
    except InvalidIdError:
        return False
    return True


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _signature(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return hash_of([status.st_size, status.st_mtime_ns, status.st_ctime_ns])
