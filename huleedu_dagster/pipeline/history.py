"""What was done, when and by whom, as it is told to people: the journal in plain words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from huleedu_dagster.domain.actions import Action, Actor, ActorKind
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.ledger.actions import ActionRecord
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.tokens import UnknownTokenError


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done.

    Attributes:
        who: Who did it, in words: the name of a token or of an account, or the part of the system.
        what: What they did, in words.
    """

    record: ActionRecord
    who: str
    what: str

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        it = self.record
        return {
            "at": it.acted_at.isoformat(),
            "actor_kind": it.actor.kind,
            "actor_id": it.actor.actor_id,
            "who": self.who,
            "action": it.action,
            "what": self.what,
            "batch_id": it.batch_id,
            "essay_id": it.slot,
            "amount": it.amount,
            "correlation_id": it.correlation_id,
            "token_id": it.token_id,
        }


def history_of_batch(ledger: Ledger, batch_id: str) -> list[Deed]:
    """What was done to a batch, the first first.

    What was done before the ledger had a journal is not told.

    Raises:
        UnknownBatchError: The batch is not registered.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    with ledger.read() as tx:
        tx.batches.get(batch_id)
        return _told(tx, tx.actions.of_batch(batch_id))


def history_of_day(ledger: Ledger, day: date) -> list[Deed]:
    """What was done on a day, in UTC, the first first.

    Raises:
        ValueError: It is no day of people's time.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    days = Days.one(day)
    with ledger.read() as tx:
        return _told(tx, tx.actions.between(days.start, days.end))


def _told(tx: Transaction, records: list[ActionRecord]) -> list[Deed]:
    names: dict[str, str] = {}

    def name_of(token_id: str) -> str:
        if token_id not in names:
            try:
                names[token_id] = f"token {tx.tokens.get(token_id).name} ({token_id})"
            except UnknownTokenError:
                names[token_id] = f"token {token_id}"
        return names[token_id]

    return [Deed(it, _who(it.actor, name_of), _what(it, name_of)) for it in records]


def _who(actor: Actor, name_of: Callable[[str], str]) -> str:
    if actor.kind is ActorKind.TOKEN:
        return name_of(actor.actor_id)
    if actor.kind is ActorKind.OPERATOR:
        return f"operator {actor.actor_id}"
    return f"system ({actor.actor_id})"


def _what(record: ActionRecord, name_of: Callable[[str], str]) -> str:
    words = _WORDS[record.action]
    return words.format(
        amount=record.amount,
        files="file" if record.amount == 1 else "files",
        essays="essay" if record.amount == 1 else "essays",
        where="the batch's closing work" if record.slot in (None, BATCH_LEVEL) else record.slot,
        token=name_of(record.token_id) if record.token_id else "a token",
    )


_WORDS: Mapping[Action, str] = {
    Action.REGISTERED: "registered the batch",
    Action.RECEIVED: "handed in {amount} {files}",
    Action.UNCHANGED: "handed in {amount} {files} again as before: nothing changed",
    Action.SETTINGS_CHANGED: "changed the settings",
    Action.CLOSED: "closed the batch",
    Action.REOPENED: "opened the batch again",
    Action.WAIVED: "waived {where}",
    Action.REPLAYED: "let {where} be tried again",
    Action.REPROCESSED: "asked to work over {amount} {essays} again",
    Action.RELEASED: "released the batch",
    Action.ARCHIVED: "took the batch off Dagster's pages",
    Action.RESENT: "delivered an event again that a relay had gone past",
    Action.TOKEN_CREATED: "made {token}",
    Action.TOKEN_REVOKED: "revoked {token}",
}
