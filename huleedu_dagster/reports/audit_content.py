"""What the audit of some days tells: totals, times, who did what, hours and batches.

All but what a batch is `now` stays what it is: what happens after these days changes none of it.
"""

from array import array
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from huleedu_dagster.domain.actions import ActorKind
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.ledger.actions import ActionCount
from huleedu_dagster.ledger.audit import REJECTED_BY_CODE, Completed, Outcome
from huleedu_dagster.ledger.audit_facts import Days, fact_names
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.pipeline.views import BatchFacts, batch_view
from huleedu_dagster.reports.figures import Spread, per_hundred, spread

NOW = (
    "status",
    "expected",
    "received",
    "ready",
    "rejected",
    "dead_lettered",
    "missing",
    "excess",
    "waived",
)
"""What is told of a batch as it is when the report is made."""

_OF_HOURS = ("received", "accepted", "rejected")


@dataclass(frozen=True, slots=True)
class AuditBatch:
    """One batch of which something was counted on these days.

    Attributes:
        class_name: What the teacher calls the class, empty if nobody said; it never changes.
        counts: The totals' counts, of this batch.
        completed_at: When it was released for the first time, if it was on these days.
        seconds_from_registration: From its registration to that release.
        seconds_from_last_file: From the last file that came before.
        now: How it stands when the report is made; values of `BatchView`.
    """

    batch_id: str
    class_name: str
    registered_at: datetime
    counts: Mapping[str, int]
    completed_at: datetime | None
    seconds_from_registration: float | None
    seconds_from_last_file: float | None
    now: Mapping[str, Any]

    @property
    def rate(self) -> float | None:
        """Misspellings per 100 words of the texts checked for the first time on these days."""
        return per_hundred(self.counts["misspellings"], self.counts["words"])


@dataclass(frozen=True, slots=True)
class AuditHour:
    """One hour that begins at a moment."""

    hour: datetime
    received: int
    accepted: int
    rejected: int

    @property
    def outcomes(self) -> int:
        """Essays that came to their outcome."""
        return self.accepted + self.rejected


@dataclass(frozen=True, slots=True)
class Acts:
    """How often somebody did something.

    Attributes:
        kind: `token`, `operator` or `system`.
        actor: Name of the token, of the account, or of the part of the system.
        actor_id: Id of the token, which no other has; else the same.
        amount: To how many essays or files in all.
    """

    kind: str
    actor: str
    actor_id: str
    action: str
    times: int
    amount: int


@dataclass(frozen=True, slots=True)
class AuditContent:
    """The audit of some days.

    Attributes:
        totals: Counts by name; `docs/reports.md` says what each is.
        seconds: Percentiles of times, by what they are of.
        completion_seconds: From registration to release, of each batch released for the first time.
    """

    days: Days
    totals: Mapping[str, int]
    seconds: Mapping[str, Spread]
    completion_seconds: tuple[float, ...]
    acts: tuple[Acts, ...]
    hours: tuple[AuditHour, ...]
    batches: tuple[AuditBatch, ...]

    @classmethod
    def read(
        cls, tx: Transaction, days: Days, each: Callable[[Outcome], None] | None = None
    ) -> "AuditContent":
        """Put the audit together.

        Args:
            tx: A consistent view of the ledger.
            days: The days.
            each: Gets every outcome of an essay, while they are read piece by piece.
        """
        waited = array("d")
        for outcome in tx.audit.outcomes(days):
            if outcome.first:
                waited.append(outcome.seconds)
            if each is not None:
                each(outcome)
        completed = tx.audit.completed(days)
        whole = tuple(map(_since_registration, completed))
        since_last = [it for it in map(_since_last_file, completed) if it is not None]
        return cls(
            days=days,
            totals=tx.audit.totals(days.first, days.last),
            seconds={
                "registration_to_release": spread(whole),
                "last_file_to_release": spread(since_last),
                "file_to_outcome": spread(waited),
            },
            completion_seconds=whole,
            acts=_acts(tx, days),
            hours=_hours(tx, days),
            batches=_batches(tx, days, {it.batch_id: it for it in completed}),
        )

    @property
    def name(self) -> str:
        """The day, or the first and the last one."""
        first, last = self.days.first.isoformat(), self.days.last.isoformat()
        return first if first == last else f"{first} to {last}"

    @property
    def rejected_by_code(self) -> dict[str, int]:
        """Rejections by their code, the commonest first."""
        found = {
            name.removeprefix(REJECTED_BY_CODE): count
            for name, count in self.totals.items()
            if name.startswith(REJECTED_BY_CODE)
        }
        return dict(sorted(found.items(), key=lambda it: (-it[1], it[0])))

    @property
    def rate(self) -> float | None:
        """Misspellings per 100 words of all texts checked for the first time on these days."""
        return per_hundred(self.totals["misspellings"], self.totals["words"])

    @property
    def version(self) -> str:
        """Hash of all that does not change any more."""
        told = self.as_json()
        for batch in told["batches"]:
            del batch["now"]
        return hash_of(told)

    def as_json(self) -> dict[str, Any]:
        """The audit for programs."""
        return {
            "first_day": self.days.first.isoformat(),
            "last_day": self.days.last.isoformat(),
            "totals": dict(self.totals),
            "rejected_by_code": self.rejected_by_code,
            "misspellings_per_100_words": self.rate,
            "seconds": {name: asdict(it) for name, it in self.seconds.items()},
            "actions": [asdict(it) for it in self.acts],
            "hours": [{**asdict(it), "hour": moment_of(it.hour)} for it in self.hours],
            "batches": [_batch_json(it) for it in self.batches],
        }


def moment_of(moment: datetime | None) -> str | None:
    """A moment as JSON has it: ISO 8601 in UTC."""
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _batch_json(batch: AuditBatch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "class_name": batch.class_name,
        "registered_at": moment_of(batch.registered_at),
        **batch.counts,
        "misspellings_per_100_words": batch.rate,
        "completed_at": moment_of(batch.completed_at),
        "seconds_from_registration": batch.seconds_from_registration,
        "seconds_from_last_file": batch.seconds_from_last_file,
        "now": dict(batch.now),
    }


def _batches(
    tx: Transaction, days: Days, completed: Mapping[str, Completed]
) -> tuple[AuditBatch, ...]:
    names = fact_names(days)
    return tuple(
        _batch(tx, batch_id, {name: counts.get(name, 0) for name in names}, completed.get(batch_id))
        for batch_id, counts in tx.audit.by_batch(days).items()
    )


def _batch(
    tx: Transaction, batch_id: str, counts: Mapping[str, int], completed: Completed | None
) -> AuditBatch:
    facts = BatchFacts.read(tx, batch_id)
    view = batch_view(facts, tx.now)
    registration = facts.batch.registration
    return AuditBatch(
        batch_id=batch_id,
        class_name=registration.class_name,
        registered_at=registration.registered_at,
        counts=counts,
        completed_at=completed.released_at if completed else None,
        seconds_from_registration=_since_registration(completed) if completed else None,
        seconds_from_last_file=_since_last_file(completed) if completed else None,
        now=view.model_dump(mode="json", include=set(NOW)),
    )


def _hours(tx: Transaction, days: Days) -> tuple[AuditHour, ...]:
    counted = tx.audit.by_hour(days)
    found = []
    for day in days.all:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for hour in range(24):
            counts = counted.get((day.isoformat(), hour), {})
            values = (counts.get(name, 0) for name in _OF_HOURS)
            found.append(AuditHour(start + timedelta(hours=hour), *values))
    return tuple(found)


def _acts(tx: Transaction, days: Days) -> tuple[Acts, ...]:
    names = {it.token_id: it.name for it in tx.tokens.all()}
    return tuple(_told(it, names) for it in tx.actions.counts(days.start, days.end))


def _told(count: ActionCount, tokens: Mapping[str, str]) -> Acts:
    actor = count.actor
    is_token = actor.kind is ActorKind.TOKEN
    return Acts(
        kind=actor.kind.value,
        actor=tokens.get(actor.actor_id, actor.actor_id) if is_token else actor.actor_id,
        actor_id=actor.actor_id,
        action=count.action.value,
        times=count.times,
        amount=count.amount,
    )


def _since_registration(it: Completed) -> float:
    return round((it.released_at - it.registered_at).total_seconds(), 3)


def _since_last_file(it: Completed) -> float | None:
    if it.last_file_at is None:
        return None
    return round((it.released_at - it.last_file_at).total_seconds(), 3)
