"""The one sweep of every inbox: takes in what is new, closes what is complete.

What was taken in is known from the ledger, under names that tell the places apart, so nothing about
files is kept in Dagster; a file is looked into again only when its signature changes.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError, essay_path
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.pipeline.inbox_places import COMPLETE_FILE, InboxFile, Place
from huleedu_dagster.pipeline.inbox_turns import Allowance, turn
from huleedu_dagster.pipeline.intake import Intake, Receipt, ReceiptStatus, Submission
from huleedu_dagster.pipeline.lifecycle import close, register
from huleedu_dagster.pipeline.sources import (
    BusyFileError,
    DamagedFileError,
    Source,
    UnreadableFileError,
)
from huleedu_dagster.pipeline.submission import note_unchanged

_LOG = logging.getLogger("huleedu_dagster.inbox")
# Defects that one class brings to light, which stop no other. Stores and ledgers fail otherwise.
_OF_ONE_CLASS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
_TOLD: dict[str, str] = {}
"""Kind of the defect that this process told of a class last: it is told when it changes."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one look at an inbox found.

    Attributes:
        taken: Files taken in.
        waiting: Files still changing, not to be had for the moment, or left for the next look.
        unreadable: Files that cannot be read, are too large or have a path that no essay can
            have, and folders that cannot be listed or looked into; all stay where they are.
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


class _Fate(Enum):
    """What became of one source."""

    TAKEN = "taken"
    WAITS = "waits"
    UNREADABLE = "unreadable"
    # Until the file or the limit changes.
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Sweeps one place.

    Attributes:
        settings: Settings of batches that nobody registered.
        max_bytes: Largest file that is taken in, in bytes.
    """

    place: Place
    intake: Intake
    settings: BatchSettings
    max_bytes: int

    def sweep(self, allowance: Allowance, after: str = "") -> tuple[Sweep, str]:
        """Take in what is new.

        Args:
            allowance: What may be done; the rest waits for the next sweep.
            after: Where the sweep before ended; empty for the first.

        Returns:
            What was found; and where this sweep ended.

        Raises:
            OSError: The place cannot be listed, or the store of the blobs failed.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        names = self.place.names()
        total = Sweep(misnamed=names.misnamed)
        chosen, end = turn(
            names.batch_ids, self._closed(names.batch_ids), self.place.closed_looks, after
        )
        last = after
        for batch_id in chosen:
            if allowance.is_over:
                return total, last
            if not allowance.is_late:
                last = batch_id
            # Of the others it is seen what waits there: they are not quiet.
            total += self._sweep_or_tell(batch_id, allowance)
        return total, last if allowance.is_late else end

    def _closed(self, batch_ids: Sequence[str]) -> Collection[str]:
        if self.place.closed_looks is None:
            return ()
        with self.intake.ledger.read() as tx:
            return tx.inbox.closed_among(batch_ids)

    def _sweep_or_tell(self, batch_id: str, allowance: Allowance) -> Sweep:
        try:
            found = self._sweep_batch(batch_id, allowance)
        except _OF_ONE_CLASS as error:
            self._keep_open(batch_id)
            if _TOLD.get(batch_id) != type(error).__name__:
                _TOLD[batch_id] = type(error).__name__
                keys = {"phase": "inbox", "batch_id": batch_id, "status": "failed"}
                _LOG.error("a class cannot be taken in", extra=keys, exc_info=error)
            return Sweep(unreadable=1)
        _TOLD.pop(batch_id, None)
        return found

    def _sweep_batch(self, batch_id: str, allowance: Allowance) -> Sweep:
        try:
            listing = self.place.look(batch_id)
        except UnreadableFileError:
            # Not raised: other batches can be taken in.
            self._keep_open(batch_id)
            return Sweep(unreadable=1)
        files = [it for it in listing.files if _can_be_named(it.name)]
        found = Sweep(unreadable=len(listing.files) - len(files))
        if not files and listing.complete is None:
            return found
        with self.intake.ledger.read() as tx:
            known = tx.inbox.signatures(batch_id)
            registered = tx.batches.find(batch_id) is not None
        if not registered:
            register(self.intake.ledger, batch_id, settings=self.settings, source="inbox")
        new, given_up = self._new(files, known)
        settled = [it for it in new if it.is_settled()]
        found += Sweep(waiting=len(new) - len(settled), unreadable=given_up)
        is_whole = len(settled) == len(new)
        if settled:
            taken, all_looked_into = self._take_in(batch_id, settled, allowance)
            found += taken
            is_whole &= all_looked_into
        if not is_whole:
            # A class that is closed without a file nobody could read would lack it unnoticed.
            self._keep_open(batch_id)
        elif listing.complete is not None:
            self._close_once(batch_id, listing.complete, known)
        return found

    def _new(
        self, files: Sequence[InboxFile], known: Mapping[str, str]
    ) -> tuple[list[InboxFile], int]:
        """Files to be looked into, and how many of the others were given up."""
        new: list[InboxFile] = []
        given_up = 0
        for file in files:
            signature, before = file.signature(), known.get(self.place.mark + file.name)
            if before is not None and before == self._given_up(signature):
                given_up += 1
            elif before != signature:
                new.append(file)
        return new, given_up

    def _take_in(
        self, batch_id: str, files: Sequence[InboxFile], allowance: Allowance
    ) -> tuple[Sweep, bool]:
        """What became of files, and whether none of them has to be looked into again."""
        found = Sweep()
        looked_into: dict[str, str] = {}
        # What is looked at once more, after a sweep that was broken off, nobody handed in again.
        with self.intake.submission(batch_id, notes_unchanged=False) as submission:
            for file in files:
                if allowance.is_spent:
                    found += Sweep(waiting=1)
                    continue
                looked, signature = self._take(submission, file)
                found += looked
                allowance.files -= looked.taken
                if signature is not None:
                    looked_into[file.name] = signature
        unchanged = _unchanged(submission.receipts, looked_into)
        # Only now are they promised; what is not remembered is looked at again.
        with self.intake.ledger.write() as tx:
            for name, signature in looked_into.items():
                tx.inbox.remember(batch_id, self.place.mark + name, signature)
            if unchanged:
                note_unchanged(tx, batch_id, unchanged, _correlation_of(submission))
        return found, len(looked_into) == len(files)

    def _take(self, submission: Submission, file: InboxFile) -> tuple[Sweep, str | None]:
        """What became of a file, and what is to be remembered of it."""
        signature = file.signature()
        bad: list[_Fate] = []
        try:
            with file.sources(self.max_bytes) as sources:
                for source in sources:
                    fate = self._hand_in(submission, source, lambda: file.signature() == signature)
                    if fate is _Fate.WAITS:
                        return Sweep(waiting=1), None
                    bad += [fate] if fate is not _Fate.TAKEN else []
        except BusyFileError:
            return Sweep(waiting=1), None
        except UnreadableFileError:
            return Sweep(unreadable=1), None
        if not bad:
            return Sweep(taken=1), signature
        for_good = _Fate.UNREADABLE not in bad
        return Sweep(unreadable=len(bad)), self._given_up(signature) if for_good else None

    def _hand_in(
        self, submission: Submission, source: Source, is_the_same: Callable[[], bool]
    ) -> _Fate:
        fate = _Fate.TAKEN
        if source.size > self.max_bytes:
            fate = _Fate.GIVEN_UP
        else:
            try:
                with submission.upload(source.path) as upload:
                    for piece in source.pieces():
                        upload.write(piece)
                    if is_the_same():
                        upload.keep()
                        return fate
            except DamagedFileError:
                fate = _Fate.GIVEN_UP
            except BusyFileError:
                return _Fate.WAITS
            except UnreadableFileError:
                fate = _Fate.UNREADABLE
        return fate if is_the_same() else _Fate.WAITS

    def _given_up(self, signature: str) -> str:
        # With another limit it may be taken in.
        return hash_of(["given up", signature, self.max_bytes])

    def _keep_open(self, batch_id: str) -> None:
        # A batch that files are still being copied to is not quiet.
        with self.intake.ledger.write() as tx:
            tx.inbox.keep_batch_open(batch_id)

    def _close_once(self, batch_id: str, complete: str, known: Mapping[str, str]) -> None:
        # Remembered, so that a batch which someone opened again is not closed by the same file.
        name = self.place.mark + COMPLETE_FILE
        if known.get(name) == complete:
            return
        close(self.intake.ledger, batch_id, ClosedBy.REQUEST)
        with self.intake.ledger.write() as tx:
            tx.inbox.remember(batch_id, name, complete)


def _unchanged(receipts: Iterable[Receipt], names: Collection[str]) -> int:
    """How many came again as they are, of the files of these names and of what is in them."""
    wanted = {essay_path(it) for it in names}
    paths = [PurePosixPath(it.path) for it in receipts if it.status is ReceiptStatus.UNCHANGED]
    return sum(not wanted.isdisjoint(map(str, (it, *it.parents))) for it in paths)


def _correlation_of(submission: Submission) -> str:
    return submission.batch.registration.correlation_id


def _can_be_named(name: str) -> bool:
    try:
        return bool(essay_path(name))
    except InvalidIdError:
        return False
