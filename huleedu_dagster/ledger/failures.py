"""Attempts that failed for reasons of infrastructure, and the dead letters they end in."""

from datetime import datetime

import sqlalchemy as sa

from huleedu_dagster.ledger.records import DeadLetter, DeadLetterState
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import attempts, dead_letters


class UnknownDeadLetterError(LookupError):
    """There is no dead letter of this number."""


class FailureRows(Rows):
    """The tables of attempts and dead letters."""

    def add_attempt(
        self, batch_id: str, slot: str, *, run_id: str, generation: int, reason: str
    ) -> bool:
        """Record that a run failed at an essay (or, with `BATCH_LEVEL`, at the batch).

        Returns:
            Whether this is news; a run counts once per essay.
        """
        return self.insert_new(
            attempts,
            {
                "batch_id": batch_id,
                "slot": slot,
                "run_id": run_id,
                "generation": generation,
                "reason": reason[:120],
                "failed_at": self.now,
            },
        )

    def counted(self, run_id: str) -> frozenset[str]:
        """The slots, or `BATCH_LEVEL`, at which a run is known to have failed."""
        query = sa.select(attempts.c.slot).where(attempts.c.run_id == run_id)
        return frozenset(self.connection.execute(query).scalars())

    def runs_of_reason(self, batch_id: str, reason: str, *, since: datetime) -> dict[str, datetime]:
        """Runs about a batch that ended for a reason, and when that was recorded.

        Args:
            batch_id: The batch.
            reason: The reason, as it was recorded.
            since: What was recorded up to then is left out.
        """
        table = attempts.c
        query = (
            sa.select(table.run_id, sa.func.max(table.failed_at).label("last"))
            .where(table.batch_id == batch_id, table.reason == reason, table.failed_at > since)
            .group_by(table.run_id)
        )
        return {row.run_id: row.last for row in self.connection.execute(query)}

    def add_dead_letter(
        self,
        batch_id: str,
        slot: str,
        *,
        generation: int,
        reason: str,
        attempts: int,
        correlation_id: str,
    ) -> bool:
        """Give up on an essay until someone replays it.

        Returns:
            Whether it is new.
        """
        return self.insert_new(
            dead_letters,
            {
                "batch_id": batch_id,
                "slot": slot,
                "generation": generation,
                "reason": reason[:120],
                "attempts": attempts,
                "correlation_id": correlation_id,
                "created_at": self.now,
                "state": DeadLetterState.OPEN,
            },
        )

    def dead_letter(self, dead_letter_id: int) -> DeadLetter:
        """One dead letter.

        Raises:
            UnknownDeadLetterError: There is none of this number.
        """
        found = self._letters(dead_letters.c.dead_letter_id == dead_letter_id)
        if not found:
            raise UnknownDeadLetterError(dead_letter_id)
        return found[0]

    def open_letters(self, batch_id: str | None = None) -> list[DeadLetter]:
        """Open dead letters, of a batch or of all, the first first."""
        where = [dead_letters.c.state == DeadLetterState.OPEN]
        if batch_id is not None:
            where.append(dead_letters.c.batch_id == batch_id)
        return self._letters(*where)

    def all_letters(self) -> list[DeadLetter]:
        """Every dead letter there ever was."""
        return self._letters()

    def resolve(self, batch_id: str, slot: str, state: DeadLetterState) -> bool:
        """End the open dead letter of a slot.

        Returns:
            Whether there was one.
        """
        statement = (
            sa.update(dead_letters)
            .where(
                dead_letters.c.batch_id == batch_id,
                dead_letters.c.slot == slot,
                dead_letters.c.state == DeadLetterState.OPEN,
            )
            .values(state=state, resolved_at=self.now)
        )
        return self.connection.execute(statement).rowcount > 0

    def _letters(self, *where: sa.ColumnElement[bool]) -> list[DeadLetter]:
        query = sa.select(dead_letters).where(*where).order_by(dead_letters.c.dead_letter_id)
        rows = self.connection.execute(query).mappings()
        return [DeadLetter(**{**row, "state": DeadLetterState(row["state"])}) for row in rows]
