"""Runs of the sensors that ended badly, each found once, whatever any clock says.

Dagster notes when a run changed by the clock of the process that told it, so a time is no cursor: a
machine that is late would report into the past. Runs have numbers of their database in the order
in which they were made, though. What is made after the last run that was looked at is looked at,
and what had not ended by then is watched until it has.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from huleedu_dagster.sensors.tags import BATCH_TAG, KIND_TAG, RunKind

_ENDED_BADLY = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_KINDS = [it.value for it in RunKind]
_OVERLAP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Position:
    """How far runs were looked at; written as the text of a sensor's cursor.

    Attributes:
        after: Id of the last run that was looked at; empty for none.
        watched: Ids of the runs made up to then that are to be looked at when they have ended.
        since: What did not change after this time was looked at by a version that went by times;
            `None` once all that came later was looked at.
    """

    after: str = ""
    watched: frozenset[str] = frozenset()
    since: datetime | None = None

    @classmethod
    def read(cls, cursor: str | None) -> "Position":
        """The position of a cursor; of none, or of an unknown one, the beginning."""
        try:
            found = json.loads(cursor or "")
            since = _time(str(found.get("since", "")))
            return cls(str(found["after"]), frozenset(map(str, found["watched"])), since)
        except (AttributeError, ValueError, KeyError, TypeError):
            # Earlier versions wrote the time of the last run, and looked a little further back.
            before = _time(cursor or "")
            return cls(since=before and before - _OVERLAP)

    def watching(self, run_ids: Iterable[str]) -> "Position":
        """The position with these runs to be looked at again."""
        return Position(self.after, self.watched | frozenset(run_ids), self.since)

    def __str__(self) -> str:
        """The text of a cursor."""
        told = {"after": self.after, "watched": sorted(self.watched)}
        return json.dumps(told | ({"since": self.since.isoformat()} if self.since else {}))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def ended_badly(
    instance: DagsterInstance, position: Position, limit: int
) -> tuple[list[RunRecord], Position]:
    """Runs about batches that failed or were canceled since a position was reached.

    Args:
        instance: Where they are.
        position: What an earlier look came to.
        limit: How many of those that were watched, and of those that were not, at most.

    Returns:
        The runs, in the order in which they were made, and the position for the next look.
    """
    # In this order: what is made or ends in between is found now or by the next look.
    newest = instance.get_run_ids(limit=1)
    unfinished = RunsFilter(tags={KIND_TAG: _KINDS}, statuses=list(NOT_FINISHED_STATUSES))
    running = frozenset(instance.get_run_ids(unfinished))
    ended = _records(instance, position.watched - running)
    # A run that was deleted, or that a power cut took back, is no place to go on from.
    after = position.after if position.after and instance.has_run(position.after) else None
    made = instance.get_run_records(
        RunsFilter(statuses=_ENDED_BADLY, updated_after=position.since),
        cursor=after,
        ascending=True,
        limit=limit,
    )
    full = len(made) == limit
    last = made[-1].dagster_run.run_id if full else "".join(newest)
    left = frozenset(it.dagster_run.run_id for it in ended[limit:])
    found = {it.storage_id: it for it in (*ended[:limit], *made)}
    ours = [found[it] for it in sorted(found) if BATCH_TAG in found[it].dagster_run.tags]
    return ours, Position(last, running | left, position.since if full else None)


def _records(instance: DagsterInstance, run_ids: Collection[str]) -> list[RunRecord]:
    """Those of these runs that ended badly, in the order in which they were made."""
    if not run_ids:
        return []
    wanted = RunsFilter(run_ids=sorted(run_ids), statuses=_ENDED_BADLY)
    return list(instance.get_run_records(wanted, ascending=True))
