"""Registered batches: settings, closing, and what was last reported of them."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.registration import BatchSettings, Registration
from huleedu_dagster.ledger.records import Batch, DeadLetterState
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import batches, dead_letters, essays, releases

_LATEST_FIRST = (batches.c.registered_at.desc(), batches.c.batch_id)
# Another generation, so that facts that come back are work under another run key.
_CHANGED: Mapping[str, Any] = {
    "reported_fingerprint": None,
    "generation": batches.c.generation + 1,
}
_SLACK_SECONDS = 1
"""Databases reckon with moments as floats, and SQLite without the fractions of a second."""


class UnreadableBatchError(RuntimeError):
    """What the ledger holds of a batch is not what any version of the pipeline wrote."""


class UnknownBatchError(LookupError):
    """No batch of this id is registered."""


class BatchRows(Rows):
    """The table of batches."""

    def register(self, registration: Registration, owner: str | None = None) -> bool:
        """Add a batch.

        Args:
            registration: The batch.
            owner: Id of the token that registers it; `None` for the command line and the inbox.

        Returns:
            Whether it is new; one that exists is left as it is.
        """
        return self.insert_new(
            batches,
            {
                **registration.model_dump(exclude={"settings"}),
                "settings": registration.settings.model_dump(mode="json"),
                "settings_version": registration.settings.data_version,
                "owner": owner,
            },
        )

    def find(self, batch_id: str, *, lock: bool = False) -> Batch | None:
        """A batch, or `None`.

        Args:
            batch_id: Its id.
            lock: Keep other writers off this batch until the transaction ends.
        """
        query = sa.select(batches).where(batches.c.batch_id == batch_id)
        if lock:
            query = query.with_for_update()
        row = self.connection.execute(query).mappings().one_or_none()
        return None if row is None else _batch(row)

    def get(self, batch_id: str, *, lock: bool = False) -> Batch:
        """A batch.

        Raises:
            UnknownBatchError: It is not registered.
        """
        batch = self.find(batch_id, lock=lock)
        if batch is None:
            raise UnknownBatchError(batch_id)
        return batch

    def all(self) -> list[Batch]:
        """Every batch, the latest first."""
        return self.page()

    def page(
        self, *, owner: str | None = None, limit: int | None = None, offset: int = 0
    ) -> list[Batch]:
        """Some of the batches, the latest first.

        Args:
            owner: Id of the token that registered them; any if `None`.
            limit: How many at most; all if `None`.
            offset: How many of the latest are left out.
        """
        query = sa.select(batches).order_by(*_LATEST_FIRST)
        if owner is not None:
            query = query.where(batches.c.owner == owner)
        return self._select(query.limit(limit).offset(offset))

    def behind(self, last: Batch | None, limit: int) -> list[Batch]:
        """The batches that were registered before `last`, or all if it is `None`.

        Args:
            last: The end of the page before.
            limit: How many at most, the latest first.
        """
        query = sa.select(batches).order_by(*_LATEST_FIRST).limit(limit)
        if last is not None:
            at, table = last.registration.registered_at, batches.c
            same = (table.registered_at == at) & (table.batch_id > last.batch_id)
            query = query.where((table.registered_at <= at) & ((table.registered_at < at) | same))
        return self._select(query)

    def not_done(self, *, or_latest: int, limit: int) -> list[Batch]:
        """Batches that are not released or have something to do or given up; the latest first.

        Args:
            or_latest: How many of the latest there are among them in any case.
            limit: How many at most.
        """
        table = batches.c
        released = sa.exists().where(releases.c.batch_id == table.batch_id)
        given_up = sa.select(dead_letters.c.batch_id).where(
            dead_letters.c.state == DeadLetterState.OPEN
        )
        latest = sa.select(table.batch_id).order_by(*_LATEST_FIRST).limit(or_latest)
        return self._select(
            sa.select(batches)
            .where(
                table.closed_at.is_(None)
                | table.reported_fingerprint.is_(None)
                | ~released
                | table.batch_id.in_(given_up)
                | table.batch_id.in_(latest)
            )
            .order_by(*_LATEST_FIRST)
            .limit(limit)
        )

    def count(self) -> int:
        """How many batches there are."""
        return self.connection.execute(sa.select(sa.func.count()).select_from(batches)).scalar_one()

    def open(self) -> list[Batch]:
        """Batches that still take essays."""
        return self._select(sa.select(batches).where(batches.c.closed_at.is_(None)))

    def closing(self, quiet_seconds: float) -> list[Batch]:
        """Open batches that it may be time to close: full, past their time, or quiet.

        The rule is `due_to_close`; this leaves out batches of which it need not be asked, and none
        of the others.

        Args:
            quiet_seconds: As the rule is given it.
        """
        table = batches.c
        taken = (
            sa.select(sa.func.count()).where(essays.c.batch_id == table.batch_id).scalar_subquery()
        )
        quiet_since = self.now - timedelta(seconds=quiet_seconds)
        return self._select(
            sa.select(batches)
            .where(table.closed_at.is_(None))
            .where(
                (table.deadline <= self.now)
                | (_timeout() <= self.now.timestamp() + _SLACK_SECONDS)
                | ((table.source == "inbox") & (table.last_received_at <= quiet_since))
                | (table.expected_essay_count <= taken)
            )
            .order_by(table.batch_id)
        )

    def unreported(self, limit: int | None = None, *, without: Collection[str] = ()) -> list[Batch]:
        """Closed batches whose facts changed since they were last reported, those closed first.

        Args:
            limit: How many at most; all if `None`.
            without: Batches that are left out.
        """
        # Left out here, or those that nothing can be done for would fill every tick.
        waiting = sa.exists().where(
            essays.c.batch_id == batches.c.batch_id,
            essays.c.pending.is_(sa.true()) | essays.c.reprocess.is_not(None),
        )
        given_up = sa.exists().where(
            dead_letters.c.batch_id == batches.c.batch_id,
            dead_letters.c.slot == BATCH_LEVEL,
            dead_letters.c.state == DeadLetterState.OPEN,
        )
        return self._select(
            sa.select(batches)
            .where(batches.c.closed_at.is_not(None), batches.c.reported_fingerprint.is_(None))
            .where(~waiting, ~given_up, batches.c.batch_id.not_in(without))
            .order_by(batches.c.closed_at, batches.c.batch_id)
            .limit(limit)
        )

    def unpublished(self, limit: int) -> list[Batch]:
        """Batches whose settings Dagster may not know yet, those registered first."""
        differs = batches.c.published_settings_version.is_distinct_from(batches.c.settings_version)
        # The order is that of an index of these alone; without it Postgres reads all batches.
        found = sa.select(batches).where(differs).order_by(batches.c.registered_at)
        return self._select(found.limit(limit))

    def done_before(self, moment: datetime, *, among: Collection[str] | None = None) -> list[str]:
        """Ids of released batches of which nothing was heard since then, and nothing is to be done.

        Args:
            moment: When their last revision was released and reported, at the latest.
            among: The batches that it is asked of; all if `None`.
        """
        due = sa.exists().where(
            essays.c.batch_id == batches.c.batch_id, essays.c.due.is_(sa.true())
        )
        later = sa.exists().where(
            releases.c.batch_id == batches.c.batch_id, releases.c.released_at > moment
        )
        released = sa.exists().where(releases.c.batch_id == batches.c.batch_id)
        query = (
            sa.select(batches.c.batch_id)
            .where(batches.c.closed_at.is_not(None), batches.c.reported_at <= moment)
            .where(batches.c.reported_fingerprint.is_not(None))
            # A batch that only `run` worked on may not be ticked off as published yet.
            .where(
                batches.c.published_settings_version.is_(None)
                | (batches.c.published_settings_version == batches.c.settings_version)
            )
            .where(released, ~later, ~due)
            .order_by(batches.c.batch_id)
        )
        if among is not None:
            query = query.where(batches.c.batch_id.in_(among))
        return list(self.connection.execute(query).scalars())

    def change_settings(self, batch_id: str, settings: BatchSettings) -> None:
        """Replace the settings of a batch; its results become stale, nothing else happens."""
        self._update(
            batch_id,
            settings=settings.model_dump(mode="json"),
            settings_version=settings.data_version,
        )

    def mark_published(self, batch_id: str, settings_version: str) -> None:
        """Note that Dagster shows these settings."""
        self._update(batch_id, published_settings_version=settings_version)

    def close(self, batch_id: str, reason: ClosedBy) -> bool:
        """Close a batch.

        Returns:
            Whether it was open.
        """
        statement = (
            sa.update(batches)
            .where(batches.c.batch_id == batch_id, batches.c.closed_at.is_(None))
            .values(closed_at=self.now, closed_by=reason, **_CHANGED)
        )
        return self.connection.execute(statement).rowcount == 1

    def reopen(self, batch_id: str) -> None:
        """Let a batch take essays again, until someone closes it, it is full or quiet."""
        self._update(
            batch_id,
            closed_at=None,
            closed_by=None,
            deadline=None,
            timeout_seconds=None,
            last_received_at=self.now,
            **_CHANGED,
        )

    def touch(self, batch_id: str, *, received_at: datetime | None = None) -> None:
        """Note that the facts of a batch changed, so what was reported is no longer current."""
        values = dict(_CHANGED)
        if received_at is not None:
            values["last_received_at"] = received_at
        self._update(batch_id, **values)

    def mark_reported(self, batch_id: str, fingerprint: str) -> None:
        """Note that manifest, report and (if ready) release of these facts are stored."""
        self._update(
            batch_id,
            reported_fingerprint=fingerprint,
            reported_at=self.now,
            attempts=0,
        )

    def set_attempts(self, batch_id: str, attempts: int, generation: int) -> None:
        """Count failed attempts of the batch's closing work."""
        self._update(batch_id, attempts=attempts, generation=generation)

    def _update(self, batch_id: str, **values: Any) -> None:
        statement = sa.update(batches).where(batches.c.batch_id == batch_id).values(**values)
        if self.connection.execute(statement).rowcount == 0:
            raise UnknownBatchError(batch_id)

    def _select(self, query: sa.Select[Any]) -> list[Batch]:
        return [_batch(row) for row in self.connection.execute(query).mappings()]


def _timeout() -> sa.ColumnElement[Any]:
    """When a batch times out, in seconds since 1970; not exact."""
    return sa.extract("epoch", batches.c.registered_at) + batches.c.timeout_seconds


def _registration(row: sa.RowMapping) -> Registration:
    try:
        return Registration(
            batch_id=row["batch_id"],
            registered_at=row["registered_at"],
            correlation_id=row["correlation_id"],
            settings=BatchSettings.model_validate(row["settings"]),
            expected_essay_count=row["expected_essay_count"],
            deadline=row["deadline"],
            timeout_seconds=row["timeout_seconds"],
            source=row["source"],
            course=row["course"],
            class_name=row["class_name"],
            instructions=row["instructions"],
        )
    except ValidationError:
        # Not as it is: it quotes the values, and a client's mistake looks the same.
        raise UnreadableBatchError(
            f"the ledger's row of batch {row['batch_id']} cannot be read; restore it from a backup"
        ) from None


def _batch(row: sa.RowMapping) -> Batch:
    return Batch(
        registration=_registration(row),
        published_settings_version=row["published_settings_version"],
        last_received_at=row["last_received_at"],
        closed_at=row["closed_at"],
        closed_by=None if row["closed_by"] is None else ClosedBy(row["closed_by"]),
        reported_fingerprint=row["reported_fingerprint"],
        reported_at=row["reported_at"],
        attempts=row["attempts"],
        generation=row["generation"],
        owner=row["owner"],
    )
