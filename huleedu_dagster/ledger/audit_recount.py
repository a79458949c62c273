"""Some totals once more, from other tables and in another way: what a check compares them with.

A report counts uploads, outcomes and releases with sums of the database. Here they are counted one
by one, from the events that were published of them and from the journal of actions.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import (
    BatchEssaysReady,
    EssayValidationFailedV1,
    SpellCheckCompletedV1,
)
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.tables import actions, outbox

_FAILED = EssayValidationFailedV1.event_type
_CHECKED = SpellCheckCompletedV1.event_type
_FROM_EVENTS = ("accepted", "rejected", "words", "misspellings", "completed", "released_again")


def recount(connection: sa.Connection, days: Days) -> dict[str, int]:
    """Totals of some days, by the names that reports have.

    What is counted by actions is left out for days on which there was no journal yet.
    """
    found = Counter(dict.fromkeys(_FROM_EVENTS, 0))
    for batch_id in _batches(connection, days):
        found.update(_essays(_outcomes(connection, batch_id), days))
        found.update(_releases(connection, batch_id, days))
    return {**found, **_actions(connection, days)}


def _batches(connection: sa.Connection, days: Days) -> list[str]:
    query = sa.select(outbox.c.batch_id).where(days.hold(outbox.c.event_timestamp)).distinct()
    return sorted(connection.execute(query).scalars())


def _outcomes(connection: sa.Connection, batch_id: str) -> Iterator[sa.Row[Any]]:
    data = outbox.c.envelope["data"]
    query = (
        sa.select(
            outbox.c.event_type,
            outbox.c.event_timestamp,
            data["raw_file_storage_id"].as_string(),
            data["error_code"].as_string(),
            data["word_count"].as_integer(),
            data["misspelling_count"].as_integer(),
        )
        .where(outbox.c.batch_id == batch_id, outbox.c.event_type.in_((_FAILED, _CHECKED)))
        .order_by(outbox.c.seq)
    )
    yield from connection.execute(query)


def _essays(rows: Iterable[sa.Row[Any]], days: Days) -> Counter[str]:
    """The first outcome of each file, where it is of these days."""
    found: Counter[str] = Counter()
    seen = set()
    for kind, moment, file, code, words, misspellings in rows:
        if file in seen:
            continue
        seen.add(file)
        if not days.start <= moment < days.end:
            continue
        if kind == _FAILED:
            found.update(("rejected", f"rejected_{code}"))
        else:
            found.update({"accepted": 1, "words": words, "misspellings": misspellings})
    return found


def _releases(connection: sa.Connection, batch_id: str, days: Days) -> Counter[str]:
    query = sa.select(outbox.c.envelope["data"]["revision"].as_integer()).where(
        outbox.c.batch_id == batch_id,
        outbox.c.event_type == BatchEssaysReady.event_type,
        days.hold(outbox.c.event_timestamp),
    )
    revisions = connection.execute(query).scalars()
    return Counter("completed" if it == 1 else "released_again" for it in revisions)


def _actions(connection: sa.Connection, days: Days) -> Counter[str]:
    found: Counter[str] = Counter()
    begun = connection.execute(sa.select(sa.func.min(actions.c.acted_at))).scalar_one()
    if begun is None or begun >= days.start:
        # Maybe it begins with these days; what happened before its first entry is not in it.
        return found
    names = {Action.REGISTERED: "registered", Action.RECEIVED: "received"}
    found.update(dict.fromkeys(names.values(), 0))
    query = sa.select(actions.c.action, actions.c.amount).where(
        days.hold(actions.c.acted_at), actions.c.action.in_(names)
    )
    for action, amount in connection.execute(query):
        found[names[Action(action)]] += amount
    return found
