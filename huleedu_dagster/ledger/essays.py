"""Uploads, the slots they fill and the versions of an essay."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.outcomes import StageOutcome
from huleedu_dagster.ledger.records import DeadLetterState, Essay, Upload, UploadStatus
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import dead_letters, essays, uploads

_IN_GENERATION = sa.tuple_(essays.c.slot, essays.c.generation)


class EssayRows(Rows):
    """The tables of uploads and essays."""

    def latest_upload(self, batch_id: str, path: str) -> Upload | None:
        """The last version received under a path."""
        query = (
            sa.select(uploads)
            .where(uploads.c.batch_id == batch_id, uploads.c.path == path)
            .order_by(uploads.c.version.desc())
            .limit(1)
        )
        row = self.connection.execute(query).mappings().one_or_none()
        return None if row is None else _upload(row)

    def latest_uploads(self, batch_id: str, paths: Collection[str]) -> dict[str, Upload]:
        """The last versions received under these paths, by path."""
        query = (
            sa.select(uploads)
            .where(uploads.c.batch_id == batch_id, uploads.c.path.in_(paths))
            .order_by(uploads.c.version)
        )
        rows = self.connection.execute(query).mappings()
        return {it.path: it for it in map(_upload, rows)}

    def latest_hashes(self, batch_id: str) -> dict[str, str]:
        """The hash of the last version received under each path of a batch."""
        query = (
            sa.select(uploads.c.path, uploads.c.sha256)
            .where(uploads.c.batch_id == batch_id)
            .order_by(uploads.c.version)
        )
        return {row.path: row.sha256 for row in self.connection.execute(query)}

    def add_uploads(self, received: Sequence[Upload]) -> None:
        """Record received files.

        Raises:
            sqlalchemy.exc.IntegrityError: A version of a path is recorded already.
        """
        names = uploads.c.keys()
        rows = [{name: getattr(it, name) for name in names} for it in received]
        self.connection.execute(sa.insert(uploads), rows)

    def slot_of(self, batch_id: str, path: str) -> str | None:
        """The slot a path holds, `None` if it has none."""
        query = sa.select(essays.c.slot).where(essays.c.batch_id == batch_id, essays.c.path == path)
        return self.connection.execute(query).scalar_one_or_none()

    def slots_of(self, batch_id: str, paths: Collection[str]) -> dict[str, str]:
        """The slots that these paths hold, by path."""
        query = sa.select(essays.c.path, essays.c.slot).where(
            essays.c.batch_id == batch_id, essays.c.path.in_(paths)
        )
        return {row.path: row.slot for row in self.connection.execute(query)}

    def count(self, batch_id: str) -> int:
        """Number of slots taken."""
        query = sa.select(sa.func.count()).where(essays.c.batch_id == batch_id)
        return self.connection.execute(query).scalar_one()

    def fill_slots(self, received: Sequence[Upload]) -> None:
        """Make each of these uploads the first version of the essay in its slot.

        Raises:
            sqlalchemy.exc.IntegrityError: A slot or a path is taken.
        """
        rows = [
            {
                "batch_id": it.batch_id,
                "slot": it.slot,
                "path": it.path,
                "upload_id": it.upload_id,
                "pending": True,
                "due": True,
            }
            for it in received
        ]
        self.connection.execute(sa.insert(essays), rows)

    def replace_version(self, upload: Upload) -> None:
        """Make `upload` the current version of the essay in its slot."""
        self._update(
            upload.batch_id,
            str(upload.slot),
            upload_id=upload.upload_id,
            pending=True,
            due=True,
            outcome=None,
            attempts=0,
            generation=essays.c.generation + 1,
        )

    def note_outcome(
        self,
        batch_id: str,
        slot: str,
        *,
        ended: bool,
        news: bool,
        outcome: StageOutcome | None = None,
    ) -> None:
        """Note what a pass made of a slot.

        Args:
            batch_id: Its batch.
            slot: The slot.
            ended: It waited, or was given up, and has its outcome now.
            news: Its results are others than before: Dagster does not show them yet.
            outcome: What the essay is counted as; `None` leaves what it was.
        """
        # Another generation, so that the next run has another key than the one that did the work.
        values: dict[str, Any] = {"generation": essays.c.generation + 1}
        if ended:
            values |= {"pending": False, "attempts": 0}
        if news:
            values |= {"due": True}
        if outcome is not None:
            values |= {"outcome": outcome}
        self._update(batch_id, slot, **values)

    def give_up(self, batch_id: str, slot: str) -> None:
        """Note that nothing more is to be done about a slot by itself."""
        self._update(batch_id, slot, pending=False, due=False, reprocess=None)

    def wait_again(self, batch_id: str, slot: str) -> None:
        """Let a slot wait for an outcome again."""
        self._update(batch_id, slot, pending=True, due=True)

    def mark_due(self, batch_id: str, slot: str) -> None:
        """Note that Dagster may not show the results of a slot as they are."""
        # Another generation, so that the run has another key than the one that did the work.
        self._update(batch_id, slot, due=True, generation=essays.c.generation + 1)

    def ask_again(self, batch_id: str, slot: str) -> None:
        """Let what is stored of a slot be worked over again; its outcome stays what it is."""
        following = essays.c.generation + 1
        self._update(
            batch_id, slot, due=True, attempts=0, generation=following, reprocess=following
        )

    def end_reprocessing(self, essay: Essay) -> None:
        """Note that an essay was worked over, unless somebody asked once more meanwhile."""
        self.connection.execute(
            sa.update(essays)
            .where(essays.c.batch_id == essay.upload.batch_id, essays.c.slot == essay.slot)
            .where(essays.c.reprocess == essay.reprocess)
            .values(reprocess=None)
        )

    def mark_shown(self, batch_id: str, generations: Mapping[str, int]) -> None:
        """Note that Dagster shows the results of slots as they are in these generations.

        Those without outcome are left out, those that are yet to be worked over again, and those
        that are of another generation.
        """
        self.connection.execute(
            sa.update(essays)
            .where(
                essays.c.batch_id == batch_id,
                _IN_GENERATION.in_(list(generations.items())),
                essays.c.pending.is_(sa.false()),
                essays.c.reprocess.is_(None),
            )
            .values(due=False)
        )

    def mark_overtaken(self, batch_id: str, generations: Mapping[str, int]) -> None:
        """Note that Dagster was told of slots as they were in these generations.

        Those that are of another one are due, those without outcome anyway, and dead letters not:
        nothing is shown of them before they are replayed. Theirs is another generation still: who
        tells of the last one may have done so before, and does not end that.
        """
        given_up = sa.select(dead_letters.c.slot).where(
            dead_letters.c.batch_id == batch_id, dead_letters.c.state == DeadLetterState.OPEN
        )
        self.connection.execute(
            sa.update(essays)
            .where(
                essays.c.batch_id == batch_id,
                essays.c.slot.in_(list(generations)),
                _IN_GENERATION.not_in(list(generations.items())),
                essays.c.pending.is_(sa.false()),
                essays.c.slot.not_in(given_up),
            )
            .values(due=True, generation=essays.c.generation + 1)
        )

    def set_attempts(self, batch_id: str, slot: str, attempts: int, generation: int) -> None:
        """Count failed attempts of an essay."""
        self._update(batch_id, slot, attempts=attempts, generation=generation)

    def of_batch(self, batch_id: str) -> list[Essay]:
        """The slots of a batch with their current uploads, in order."""
        return self._essays(essays.c.batch_id == batch_id)

    def in_slot(self, batch_id: str, slot: str) -> Essay | None:
        """The essay in a slot, `None` if the slot is empty."""
        found = self._essays(essays.c.batch_id == batch_id, essays.c.slot == slot)
        return found[0] if found else None

    def due(self, limit: int) -> list[Essay]:
        """Slots that a run has something to do for, those longest waiting first.

        Those that have an outcome, and are to be worked over again, come after those that have
        none: thousands of them at once must not keep a class from its results.
        """
        order = (essays.c.pending.desc(), uploads.c.received_at)
        return self._essays(essays.c.due.is_(sa.true()), order=order, limit=limit)

    def count_due(self) -> int:
        """Number of essays that a run has something to do for."""
        query = sa.select(sa.func.count()).where(essays.c.due)
        return self.connection.execute(query).scalar_one()

    def uploads_of(self, batch_id: str, *statuses: UploadStatus) -> list[Upload]:
        """Uploads of a batch in order of arrival, of some statuses or of all."""
        query = sa.select(uploads).where(uploads.c.batch_id == batch_id)
        if statuses:
            query = query.where(uploads.c.status.in_(statuses))
        query = query.order_by(uploads.c.received_at, uploads.c.path, uploads.c.version)
        return [_upload(row) for row in self.connection.execute(query).mappings()]

    def versions(self, batch_id: str, path: str) -> list[Upload]:
        """All uploads under a path, the first first."""
        query = (
            sa.select(uploads)
            .where(uploads.c.batch_id == batch_id, uploads.c.path == path)
            .order_by(uploads.c.version)
        )
        return [_upload(row) for row in self.connection.execute(query).mappings()]

    def last_received_at(self, batch_id: str) -> datetime | None:
        """When the last upload of a batch was received, `None` if there is none."""
        query = sa.select(sa.func.max(uploads.c.received_at)).where(uploads.c.batch_id == batch_id)
        latest: datetime | None = self.connection.execute(query).scalar_one()
        return latest

    def assign(self, upload_id: str, slot: str) -> None:
        """Give an upload that had no slot one."""
        self.connection.execute(
            sa.update(uploads)
            .where(uploads.c.upload_id == upload_id)
            .values(slot=slot, status=UploadStatus.ASSIGNED)
        )

    def _update(self, batch_id: str, slot: str, **values: Any) -> None:
        self.connection.execute(
            sa.update(essays)
            .where(essays.c.batch_id == batch_id, essays.c.slot == slot)
            .values(**values)
        )

    def _essays(
        self,
        *where: sa.ColumnElement[bool],
        order: Sequence[sa.ColumnElement[Any]] = (),
        limit: int | None = None,
    ) -> list[Essay]:
        names = ("slot", "pending", "due", "attempts", "generation", "reprocess")
        columns = [essays.c[name] for name in names]
        query = (
            sa.select(uploads, *(column.label(f"essay_{column.name}") for column in columns))
            .join(essays, essays.c.upload_id == uploads.c.upload_id)
            .where(*where)
            .order_by(*order, essays.c.batch_id, essays.c.slot)
            .limit(limit)
        )
        return [
            Essay(
                upload=_upload(row),
                slot=row["essay_slot"],
                pending=row["essay_pending"],
                due=row["essay_due"],
                attempts=row["essay_attempts"],
                generation=row["essay_generation"],
                reprocess=row["essay_reprocess"],
            )
            for row in self.connection.execute(query).mappings()
        ]


def _upload(row: sa.RowMapping) -> Upload:
    values = {name: row[name] for name in uploads.c.keys()}  # noqa: SIM118
    return Upload(**{**values, "status": UploadStatus(values["status"])})
