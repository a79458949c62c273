"""How far each relay has come in the outbox, and the events it could not deliver."""

import sqlalchemy as sa

from huleedu_dagster.ledger.records import RelayDeadLetter
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import outbox, relay_dead_letters, relay_positions


class UnknownRelayDeadLetterError(LookupError):
    """There is no dead letter of a relay of this number."""


class RelayRows(Rows):
    """The tables of relay positions and of the relays' dead letters."""

    def position(self, relay: str) -> int:
        """Sequence number of the last event that a relay is done with, 0 before the first."""
        query = sa.select(relay_positions.c.seq).where(relay_positions.c.relay == relay)
        found = self.connection.execute(query).scalar_one_or_none()
        return 0 if found is None else int(found)

    def positions(self) -> list[tuple[str, int, int]]:
        """Name, position, and number of events behind it, of every relay, by name."""
        recorded = sa.select(sa.func.count()).where(outbox.c.seq > relay_positions.c.seq)
        query = sa.select(
            relay_positions.c.relay, relay_positions.c.seq, recorded.scalar_subquery()
        ).order_by(relay_positions.c.relay)
        return [(name, seq, behind) for name, seq, behind in self.connection.execute(query)]

    def advance(self, relay: str, seq: int) -> bool:
        """Note that a relay is done with every event up to `seq`; a position never goes back.

        Returns:
            Whether it went on.
        """
        values = {"relay": relay, "seq": seq, "updated_at": self.now}
        if self.insert_new(relay_positions, values):
            return True
        statement = (
            sa.update(relay_positions)
            .where(relay_positions.c.relay == relay, relay_positions.c.seq < seq)
            .values(seq=seq, updated_at=self.now)
        )
        return self.connection.execute(statement).rowcount == 1

    def add_dead_letter(
        self, relay: str, seq: int, *, event_id: str, reason: str, attempts: int
    ) -> bool:
        """Give up on delivering an event until someone resolves it.

        Returns:
            Whether it is new.
        """
        return self.insert_new(
            relay_dead_letters,
            {
                "relay": relay,
                "seq": seq,
                "event_id": event_id,
                "reason": reason[:120],
                "attempts": attempts,
                "created_at": self.now,
            },
        )

    def dead_letter(self, letter_id: int) -> RelayDeadLetter:
        """One dead letter.

        Raises:
            UnknownRelayDeadLetterError: There is none of this number.
        """
        found = self._letters(relay_dead_letters.c.letter_id == letter_id)
        if not found:
            raise UnknownRelayDeadLetterError(letter_id)
        return found[0]

    def open_letters(self, relay: str | None = None) -> list[RelayDeadLetter]:
        """Dead letters that are not resolved, of a relay or of all, in the order of events."""
        where: list[sa.ColumnElement[bool]] = [relay_dead_letters.c.resolved_at.is_(None)]
        if relay is not None:
            where.append(relay_dead_letters.c.relay == relay)
        return self._letters(*where)

    def resolve(self, letter_id: int) -> bool:
        """End a dead letter: its event was delivered after all, or nobody needs it.

        Returns:
            Whether it was open.

        Raises:
            UnknownRelayDeadLetterError: There is none of this number.
        """
        self.dead_letter(letter_id)
        statement = (
            sa.update(relay_dead_letters)
            .where(
                relay_dead_letters.c.letter_id == letter_id,
                relay_dead_letters.c.resolved_at.is_(None),
            )
            .values(resolved_at=self.now)
        )
        return self.connection.execute(statement).rowcount == 1

    def _letters(self, *where: sa.ColumnElement[bool]) -> list[RelayDeadLetter]:
        order = (relay_dead_letters.c.relay, relay_dead_letters.c.seq)
        query = sa.select(relay_dead_letters).where(*where).order_by(*order)
        return [RelayDeadLetter(**row) for row in self.connection.execute(query).mappings()]
