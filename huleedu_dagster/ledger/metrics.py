"""What metrics are told from: sums kept beside the facts, and how things stand.

Sums are changed in the transaction that records the fact, last of all: they can neither miss a fact
nor count one twice, and a look at them costs the same however much there is. How things stand is
counted in indexes; what that costs is in docs/adr/0030.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.ledger.records import DeadLetterState, StageRecord, Upload
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import (
    batches,
    dead_letters,
    essays,
    metric_sums,
    relay_dead_letters,
    releases,
    uploads,
)

UNBOUNDED = -1
"""The bound of what no bucket holds."""
_COUNTER = 0
# Written out, or SQLite could not know that there is an index of just these.
_IN_TIME: list[sa.ColumnClause[str]] = [
    sa.literal_column(f"'{it.value}'") for it in (ClosedBy.DEADLINE, ClosedBy.TIMEOUT)
]
_SLACK_SECONDS = 1


class Metric(StrEnum):
    """Sums that are kept, by what their label is."""

    REJECTED = "rejected"
    RECEIVED = "received"
    STORED_BYTES = "stored_bytes"
    SUPPRESSED = "suppressed"
    STAGE_DURATION = "stage_duration"
    QUEUE_LATENCY = "queue_latency"
    BATCH_COMPLETION = "batch_completion"


class Completion(StrEnum):
    """How a batch came to its end."""

    READY = "ready"
    INCOMPLETE = "incomplete"


class Duplicate(StrEnum):
    """What came again as it is, and changed nothing."""

    FILE = "file"
    REQUEST = "request"


class EssayState(StrEnum):
    """Where an essay stands that has a slot."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEAD_LETTERED = "dead_lettered"


BOUNDS_SECONDS: Mapping[Metric, tuple[float, ...]] = {
    Metric.STAGE_DURATION: (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    Metric.QUEUE_LATENCY: (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3_600, 14_400, 86_400),
    Metric.BATCH_COMPLETION: (
        *(10, 30, 60, 300, 900, 3_600, 14_400, 43_200),
        *(86_400, 259_200, 604_800, 1_209_600),
    ),
}
"""Upper bounds of the buckets of what is observed, seconds."""


@dataclass(frozen=True, slots=True)
class MetricSum:
    """A sum as it stands.

    Attributes:
        label: What it is the sum of, among those of its metric.
        bound_ms: Upper bound of its bucket, milliseconds; `UNBOUNDED` for what is above all, and 0
            where nothing is measured but only counted.
        observations: How often something was added.
        total: What was added; seconds where time is measured.
    """

    metric: Metric
    label: str
    bound_ms: int
    observations: int
    total: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at a moment.

    Attributes:
        essays: Essays that have a slot, by state.
        oldest_pending_at: When the longest waiting of those that are pending was received.
        open_past_deadline: Batches that still take essays although their time is over.
        closed_incomplete: Batches closed by their deadline or timeout with essays missing, and not
            released since.
        dead_letters: All that there ever were.
        open_dead_letters: Those that wait for an operator.
        open_relay_letters: Events that a relay could not deliver and that nobody sent again.
    """

    essays: Mapping[EssayState, int]
    oldest_pending_at: datetime | None
    open_past_deadline: int
    closed_incomplete: int
    dead_letters: int
    open_dead_letters: int
    open_relay_letters: int


_Key = tuple[Metric, str, int]


class MetricRows(Rows):
    """The table of sums, and questions that indexes answer."""

    def __init__(self, connection: sa.Connection, now: datetime) -> None:
        super().__init__(connection, now)
        self._observations: Counter[_Key] = Counter()
        self._totals: defaultdict[_Key, float] = defaultdict(float)

    def count_received(self, received: Iterable[Upload]) -> None:
        """Count files that were kept, and their bytes."""
        for it in received:
            self._add((Metric.RECEIVED, it.status.value, _COUNTER), 1)
            self._add((Metric.STORED_BYTES, "", _COUNTER), it.size)

    def count_suppressed(self, kind: Duplicate, number: int = 1) -> None:
        """Count what came again as it is."""
        self._add((Metric.SUPPRESSED, kind.value, _COUNTER), number)

    def count_pass(self, upload: Upload, computed: Sequence[StageRecord], *, awaited: bool) -> None:
        """Count what was computed now of an essay.

        Args:
            upload: What was computed.
            computed: The new records, in the order of their stages; they end now.
            awaited: Whether the essay had no outcome, so that it waited for each of them.
        """
        start = self.now - timedelta(milliseconds=sum(it.duration_ms for it in computed))
        for it in computed:
            if it.outcome is StageOutcome.NOT_REACHED:
                # Nothing was done, and nothing waited for it.
                continue
            seconds = it.duration_ms / 1000
            self._observe(Metric.STAGE_DURATION, it.stage.value, seconds)
            if awaited:
                waited = max((start - upload.received_at).total_seconds(), 0.0)
                self._observe(Metric.QUEUE_LATENCY, it.stage.value, waited)
            start += timedelta(milliseconds=it.duration_ms)
            if it.outcome is StageOutcome.REJECTED and it.code is not None:
                self._add((Metric.REJECTED, it.code.value, _COUNTER), 1)

    def count_completion(self, registered_at: datetime, how: Completion) -> None:
        """Count a batch that comes to its end now."""
        seconds = (self.now - registered_at).total_seconds()
        self._observe(Metric.BATCH_COMPLETION, how.value, max(seconds, 0.0))

    def write(self) -> None:
        """Write what was counted. The ledger calls it, last in every transaction.

        Rows of sums are locked in one order and through the commit alone, so they can neither be
        part of a deadlock nor wait for anybody's work.
        """
        counted = sorted(self._observations.items())
        if not counted:
            return
        rows = [
            {
                "metric": key[0],
                "label": key[1],
                "bound_ms": key[2],
                "observations": observations,
                "total": self._totals[key],
            }
            for key, observations in counted
        ]
        self._observations.clear()
        self._totals.clear()
        self.connection.execute(_addition(self.connection.dialect.name), rows)

    def sums(self) -> list[MetricSum]:
        """Every sum that something was added to, but those of a newer version; some hundreds."""
        query = sa.select(metric_sums).where(metric_sums.c.metric.in_(Metric))
        rows = self.connection.execute(query).mappings()
        return [MetricSum(**{**row, "metric": Metric(row["metric"])}) for row in rows]

    def standing(self) -> Standing:
        """How things stand now.

        No table is read as a whole. Three indexes that grow are: those of the states of essays and
        of dead letters, which hold nothing else, and that of the batches that their time closed.
        """
        oldest = (
            sa.select(sa.func.min(uploads.c.received_at))
            .join(essays, essays.c.upload_id == uploads.c.upload_id)
            .where(essays.c.pending.is_(sa.true()))
        )
        letters = self._by_state()
        undelivered = sa.select(sa.func.count()).where(relay_dead_letters.c.resolved_at.is_(None))
        return Standing(
            essays=self._essays(),
            oldest_pending_at=self.connection.execute(oldest).scalar_one(),
            open_past_deadline=self._open_past_deadline(),
            closed_incomplete=self._closed_incomplete(),
            dead_letters=sum(letters.values()),
            open_dead_letters=letters.get(DeadLetterState.OPEN, 0),
            open_relay_letters=self.connection.execute(undelivered).scalar_one(),
        )

    def _essays(self) -> dict[EssayState, int]:
        query = sa.select(essays.c.outcome, essays.c.pending, sa.func.count()).group_by(
            essays.c.outcome, essays.c.pending
        )
        found: Counter[EssayState] = Counter(dict.fromkeys(EssayState, 0))
        for outcome, pending, number in self.connection.execute(query):
            if pending:
                found[EssayState.PENDING] += number
            else:
                found[EssayState(outcome or EssayState.DEAD_LETTERED)] += number
        return dict(found)

    def _by_state(self) -> dict[str, int]:
        state = dead_letters.c.state
        query = sa.select(state, sa.func.count()).group_by(state)
        return {row[0]: row[1] for row in self.connection.execute(query)}

    def _open_past_deadline(self) -> int:
        table = batches.c
        ends = sa.extract("epoch", table.registered_at) + table.timeout_seconds
        over = (table.deadline <= self.now) | (
            table.deadline.is_(None) & (ends + _SLACK_SECONDS <= self.now.timestamp())
        )
        query = sa.select(sa.func.count()).where(table.closed_at.is_(None), over)
        return self.connection.execute(query).scalar_one()

    def _closed_incomplete(self) -> int:
        table = batches.c
        # Counted batch by batch: of a question whether there is any, Postgres makes one about all.
        taken, released = (
            sa.select(sa.func.count()).where(it.c.batch_id == table.batch_id).scalar_subquery()
            for it in (essays, releases)
        )
        query = (
            sa.select(sa.func.count())
            .where(table.closed_by.in_(_IN_TIME), released == 0)
            .where(table.expected_essay_count > taken)
        )
        return self.connection.execute(query).scalar_one()

    def _observe(self, metric: Metric, label: str, seconds: float) -> None:
        self._add((metric, label, bound_ms(metric, seconds)), seconds)

    def _add(self, key: _Key, amount: float) -> None:
        self._observations[key] += 1
        self._totals[key] += amount


@cache
def _addition(dialect: str) -> Any:
    """Adds to sums, or begins them. Made once: it is part of every essay's transaction."""
    statement = (postgresql if dialect == "postgresql" else sqlite).insert(metric_sums)
    added = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["metric", "label", "bound_ms"],
        set_={
            "observations": metric_sums.c.observations + added.observations,
            "total": metric_sums.c.total + added.total,
        },
    )
    # Only with an answer to give, Postgres takes all rows in one statement.
    return statement.returning(metric_sums.c.metric) if dialect == "postgresql" else statement


def bound_ms(metric: Metric, seconds: float) -> int:
    """The bound of the bucket that holds an observation, milliseconds."""
    bounds = BOUNDS_SECONDS[metric]
    return next((round(it * 1000) for it in bounds if seconds <= it), UNBOUNDED)


def essay_outcome(records: Mapping[Stage, StageRecord]) -> StageOutcome | None:
    """What an essay is counted as, `None` before its last stage has an outcome.

    Args:
        records: Its current records, by stage.
    """
    if Stage.SPELLCHECK_RESULT not in records:
        return None
    accepted = all(it.outcome is StageOutcome.ACCEPTED for it in records.values())
    return StageOutcome.ACCEPTED if accepted else StageOutcome.REJECTED
