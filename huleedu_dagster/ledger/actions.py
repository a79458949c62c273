"""The journal: who did what and when. Rules write it in the transaction of what was done."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.actions import Action, Actor, ActorKind
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import actions

_LOG = logging.getLogger("huleedu_dagster.actions")


@dataclass(frozen=True, slots=True)
class ActionRecord:
    """Something that was done.

    Attributes:
        slot: The essay it was done to; `None` when it was done to the batch or to no batch.
        amount: Essays or files it was done to, by what the action is; otherwise 1.
        correlation_id: What the request's events and log lines are tied together by, if it has one.
        token_id: The API token it was done to, if it was one.
    """

    action_id: int
    acted_at: datetime
    actor: Actor
    action: Action
    batch_id: str | None
    slot: str | None
    amount: int
    correlation_id: str | None
    token_id: str | None = None


@dataclass(frozen=True, slots=True)
class ActionCount:
    """What one actor did in some time.

    Attributes:
        times: How often.
        amount: To how many essays or files in all.
    """

    actor: Actor
    action: Action
    times: int
    amount: int


class ActionRows(Rows):
    """The table of actions.

    Args:
        actor: Who acts in this transaction.
        correlation_id: Of the request in which they do, if it is one.
    """

    def __init__(
        self,
        connection: sa.Connection,
        now: datetime,
        actor: Actor,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(connection, now)
        self._actor = actor
        self._correlation_id = correlation_id
        self._noted: list[dict[str, Any]] = []

    def record(
        self,
        action: Action,
        *,
        batch_id: str | None = None,
        slot: str | None = None,
        amount: int = 1,
        correlation_id: str | None = None,
        token_id: str | None = None,
        actor: Actor | None = None,
        acted_at: datetime | None = None,
    ) -> None:
        """Note that something is done. What changes nothing is not to be noted.

        Args:
            action: What is done.
            batch_id: The batch it is done to, if it is one.
            slot: The essay it is done to, if it is one.
            amount: Essays or files it is done to.
            correlation_id: What its events are tied together by; the request's own if `None`.
            token_id: The API token it is done to, if it is one.
            actor: Who does it, where that is somebody else than who acts in this transaction.
            acted_at: When, where its rows have another moment than that of this transaction.
        """
        actor = actor or self._actor
        row = {
            "acted_at": acted_at or self.now,
            "actor_kind": actor.kind,
            "actor_id": actor.actor_id,
            "action": action,
            "batch_id": batch_id,
            "slot": slot,
            "amount": amount,
            "correlation_id": correlation_id or self._correlation_id,
            "token_id": token_id,
        }
        self.connection.execute(sa.insert(actions), row)
        self._noted.append(row)

    def log(self) -> None:
        """Write a line for each thing that was done; for after the commit. It says not by whom."""
        for row in self._noted:
            if (row["action"], row["actor_kind"]) == (Action.RELEASED, ActorKind.SYSTEM):
                # Its run writes a line, with the run and how long it took.
                continue
            keys = {"phase": "action", "status": row["action"].value, "by": row["actor_kind"].value}
            of_whom = {"batch_id": row["batch_id"], "essay_id": row["slot"]}
            corr_id = {"corr_id": row["correlation_id"]}
            _LOG.info("action", extra={**corr_id, **of_whom, **keys, "amount": row["amount"]})

    def of_batch(self, batch_id: str) -> list[ActionRecord]:
        """What was done to a batch, the first first."""
        return self._records(actions.c.batch_id == batch_id)

    def between(self, start: datetime, end: datetime) -> list[ActionRecord]:
        """What was done from `start` on and before `end`, the first first."""
        return self._records(*_within(start, end))

    def counts(self, start: datetime, end: datetime) -> list[ActionCount]:
        """How often who did what from `start` on and before `end`, by actor and action."""
        table = actions.c
        keys = (table.actor_kind, table.actor_id, table.action)
        query = (
            sa.select(*keys, sa.func.count(), sa.func.sum(table.amount))
            .where(*_within(start, end))
            .group_by(*keys)
        )
        found = [
            ActionCount(Actor(ActorKind(kind), actor_id), Action(action), times, int(amount))
            for kind, actor_id, action, times, amount in self.connection.execute(query)
        ]
        # Not by the database, whose order of letters depends on how it was set up.
        return sorted(found, key=lambda it: (it.actor.kind, it.actor.actor_id, it.action))

    def _records(self, *where: sa.ColumnElement[bool]) -> list[ActionRecord]:
        order = (actions.c.acted_at, actions.c.action_id)
        rows: Sequence[sa.RowMapping] = (
            self.connection.execute(sa.select(actions).where(*where).order_by(*order))
            .mappings()
            .all()
        )
        return [
            ActionRecord(
                action_id=row["action_id"],
                acted_at=row["acted_at"],
                actor=Actor(ActorKind(row["actor_kind"]), row["actor_id"]),
                action=Action(row["action"]),
                batch_id=row["batch_id"],
                slot=row["slot"],
                amount=row["amount"],
                correlation_id=row["correlation_id"],
                token_id=row["token_id"],
            )
            for row in rows
        ]


def _within(start: datetime, end: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return actions.c.acted_at >= start, actions.c.acted_at < end
