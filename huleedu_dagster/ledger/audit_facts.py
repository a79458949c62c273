"""What an audit counts: each thing once, on the day it happened, so that days add up.

Only what never changes again is counted. An upload's status may (a late one joins a batch that is
reopened), a waiver may be given again, a transient rejection is replaced: events, actions and the
outcomes of an essay's last stage tell the same and are only ever added.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import BatchReadinessTimeout, ExcessContentProvisionedV1
from huleedu_dagster.domain.outcomes import Code, Stage, StageOutcome
from huleedu_dagster.ledger.records import DeadLetterState
from huleedu_dagster.ledger.tables import (
    actions,
    batches,
    dead_letters,
    outbox,
    releases,
    stage_outcomes,
    uploads,
)

Condition = sa.ColumnElement[bool]
_CLOCK_SLACK = timedelta(days=1)
"""How far an upload may be dated after its event; only a clock that was set back does that."""
_EARLIEST, _LATEST = date(2000, 1, 1), date(2999, 12, 31)
_MOST = 3_660
"""Days at most, ten years: each hour of them is told."""


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days in UTC, the first and the last one included.

    Raises:
        ValueError: The last day is before the first, there are more than ten years of them, or
            they are of another time than people's: some databases know no such days.
    """

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("the last day of an audit is not before its first")
        if self.first < _EARLIEST or self.last > _LATEST:
            raise ValueError(f"a day is from {_EARLIEST} to {_LATEST}")
        if (self.last - self.first).days >= _MOST:
            raise ValueError(f"an audit is of at most {_MOST} days; ask for fewer at once")

    @classmethod
    def one(cls, day: date) -> Self:
        """A single day."""
        return cls(day, day)

    @property
    def start(self) -> datetime:
        """The first moment."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        last = datetime(self.last.year, self.last.month, self.last.day, tzinfo=UTC)
        return last + timedelta(days=1)

    @property
    def all(self) -> list[date]:
        """Each day, in order."""
        return [self.first + timedelta(days=it) for it in range((self.end - self.start).days)]

    def hold(self, moment: sa.ColumnElement[Any]) -> Condition:
        """Whether a moment is in these days."""
        return sa.and_(moment >= self.start, moment < self.end)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is counted.

    Attributes:
        condition: Which rows count.
        amount: What each adds.
    """

    condition: Condition
    amount: sa.ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Facts that are read from the same rows.

    Attributes:
        moment: When a row happened; there is an index of it.
        batch: The batch it is of.
        common: Which rows are looked at.
        facts: By name.
    """

    moment: sa.Column[datetime]
    batch: sa.Column[Any]
    common: Condition
    facts: Mapping[str, Fact]

    def query(self, days: Days, *by: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """The sums of these days, or of each group in them; groups come first in a row."""
        sums = [
            sa.func.sum(sa.case((fact.condition, fact.amount), else_=0)).label(name)
            for name, fact in self.facts.items()
        ]
        where = (days.hold(self.moment), self.common)
        return sa.select(*by, *sums).where(*where).group_by(*by)


ONE: sa.ColumnElement[Any] = sa.literal_column("1")
_ANY: Condition = sa.true()


def sources(days: Days) -> tuple[Source, ...]:
    """All that is counted of some days."""
    return (
        _of(batches.c.registered_at, {"registered": Fact(_ANY, ONE)}),
        received(days),
        outcomes(),
        _of(dead_letters.c.created_at, {"dead_letters": Fact(_ANY, ONE)}),
        _of(
            dead_letters.c.resolved_at,
            {
                f"dead_letters_{state}": Fact(dead_letters.c.state == state, ONE)
                for state in DeadLetterState
                if state is not DeadLetterState.OPEN
            },
        ),
        _of(
            releases.c.released_at,
            {
                "completed": Fact(releases.c.revision == 1, ONE),
                "released_again": Fact(releases.c.revision > 1, ONE),
                "released": Fact(_ANY, ONE),
            },
        ),
        _of(
            outbox.c.event_timestamp,
            {"timed_out": Fact(_ANY, ONE)},
            outbox.c.event_type == BatchReadinessTimeout.event_type,
        ),
        _acted(),
    )


def fact_names(days: Days) -> list[str]:
    """The names of all that is counted, in their order."""
    return [name for source in sources(days) for name in source.facts]


def received(days: Days) -> Source:
    """Files that were kept."""
    table = uploads.c
    excess = table.upload_id.in_(_unplaced(days, Code.BATCH_FULL))
    late = table.upload_id.in_(_unplaced(days, Code.ARRIVED_LATE))
    placed = ~excess & ~late
    other = uploads.alias()
    # Moments of receipt are unique in a batch: of two twins the later one is the duplicate.
    twin = _is_there(
        other,
        other.c.batch_id == table.batch_id,
        other.c.sha256 == table.sha256,
        other.c.path != table.path,
        other.c.received_at < table.received_at,
    )
    return _of(
        table.received_at,
        {
            "received": Fact(_ANY, ONE),
            "received_bytes": Fact(_ANY, table.size),
            "new_essays": Fact(placed & (table.version == 1), ONE),
            "new_versions": Fact(placed & (table.version > 1), ONE),
            "duplicates": Fact(twin, ONE),
            "excess": Fact(excess, ONE),
            "late": Fact(late, ONE),
        },
    )


def outcomes() -> Source:
    """What became of essays: the last stage has one row for every outcome, rejected ones too."""
    table = stage_outcomes.c
    first = is_first()
    accepted = table.outcome == StageOutcome.ACCEPTED
    checked = first & accepted
    return _of(
        table.recorded_at,
        {
            "accepted": Fact(checked, ONE),
            "rejected": Fact(first & ~accepted, ONE),
            "reprocessed": Fact(~first, ONE),
            "words": Fact(checked, table.details["words"].as_integer()),
            "misspellings": Fact(checked, table.details["misspellings"].as_integer()),
        },
        table.stage == Stage.SPELLCHECK_RESULT,
    )


def is_first() -> Condition:
    """Whether an outcome of the last stage is the first one of its file."""
    table = stage_outcomes.c
    earlier = stage_outcomes.alias()
    return ~_is_there(
        earlier,
        earlier.c.batch_id == table.batch_id,
        earlier.c.slot == table.slot,
        earlier.c.stage == Stage.SPELLCHECK_RESULT,
        earlier.c.upload_id == table.upload_id,
        earlier.c.outcome_id < table.outcome_id,
    )


def _acted() -> Source:
    table = actions.c
    letter = dead_letters.c
    # One that was still open then, whatever became of it.
    dead = _is_there(
        dead_letters,
        letter.batch_id == table.batch_id,
        letter.slot == table.slot,
        letter.created_at <= table.acted_at,
        letter.resolved_at.is_(None) | (letter.resolved_at > table.acted_at),
    )
    waived = table.action == Action.WAIVED
    return _of(
        table.acted_at,
        {
            "suppressed": Fact(table.action == Action.UNCHANGED, table.amount),
            "waived": Fact(waived, ONE),
            "dead_letters_waived": Fact(waived & dead, ONE),
            "reprocessing_asked": Fact(table.action == Action.REPROCESSED, table.amount),
        },
    )


def _of(moment: sa.Column[Any], facts: Mapping[str, Fact], common: Condition = _ANY) -> Source:
    return Source(moment, moment.table.c.batch_id, common, facts)


def _is_there(table: sa.FromClause, *where: Condition) -> Condition:
    # Counted row by row: of a question whether there is any, Postgres makes one about all.
    return sa.select(sa.func.count()).select_from(table).where(*where).scalar_subquery() > 0


def _unplaced(days: Days, reason: Code) -> sa.Select[tuple[str]]:
    """Ids of the uploads that got no slot when they came."""
    data = outbox.c.envelope["data"]
    return sa.select(data["upload_id"].as_string()).where(
        outbox.c.event_type == ExcessContentProvisionedV1.event_type,
        outbox.c.event_timestamp >= days.start - _CLOCK_SLACK,
        outbox.c.event_timestamp < days.end,
        data["reason"].as_string() == reason.value,
    )
