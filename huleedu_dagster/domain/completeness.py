"""When a batch is closed, settled, complete and ready: pure functions over facts and a clock.

The words are those of the requirements: *closed* = full, asked for, past its deadline or timeout;
*settled* = closed, and every received slot has an outcome; *ready* = settled, nothing missing, no
dead letter, waivers counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from huleedu_dagster.domain.ids import slot_id
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.domain.registration import Registration

VERSION = "1"
"""Part of the code version of `batch_manifest`: raise it when a rule changes."""


class ClosedBy(StrEnum):
    """Why a batch takes no more essays."""

    FULL = "full"
    REQUEST = "request"
    DEADLINE = "deadline"
    TIMEOUT = "timeout"
    QUIET = "quiet"


class BatchStatus(StrEnum):
    """What a reader is told about a batch."""

    RECEIVING = "receiving"
    PROCESSING = "processing"
    READY = "ready"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Completeness:
    """How complete a batch is.

    Attributes:
        missing: Slots expected and not received, waived ones left out.
        pending: Received slots without an outcome.
        dead_lettered: Slots with an open dead letter that nobody waived.
        waived: Slots an operator gave up, with a reason.
        closed: Whether the batch takes no more essays.
    """

    expected: int | None
    received: int
    accepted: int
    rejected: int
    missing: tuple[str, ...]
    pending: tuple[str, ...]
    dead_lettered: tuple[str, ...]
    waived: tuple[str, ...]
    closed: bool

    @property
    def settled(self) -> bool:
        """Closed, and every received slot has an outcome."""
        return self.closed and not self.pending

    @property
    def ready(self) -> bool:
        """Settled, nothing missing and no dead letter: the batch may be released."""
        return self.settled and not self.missing and not self.dead_lettered


def closing_moment(registration: Registration) -> datetime | None:
    """When the batch closes by the clock: its deadline, else its timeout; `None` for never."""
    if registration.deadline is not None or registration.timeout_seconds is None:
        return registration.deadline
    try:
        return registration.registered_at + timedelta(seconds=registration.timeout_seconds)
    except OverflowError:
        # Registered by a version that took it; the end is in no calendar.
        return None


def due_to_close(
    registration: Registration,
    *,
    received: int,
    last_received_at: datetime | None,
    quiet_seconds: float,
    now: datetime,
) -> ClosedBy | None:
    """Why an open batch should be closed now, `None` if it should stay open.

    Args:
        registration: The batch.
        received: Number of slots taken.
        last_received_at: When the last upload came, in UTC.
        quiet_seconds: Quiet time in seconds after which an inbox folder that nobody registered
            is taken to be complete; used only where there is no expected count and no clock.
        now: The time, in UTC.
    """
    if registration.expected_essay_count is not None and received >= registration.slots:
        return ClosedBy.FULL
    moment = closing_moment(registration)
    if moment is not None:
        by_deadline = registration.deadline is not None
        reason = ClosedBy.DEADLINE if by_deadline else ClosedBy.TIMEOUT
        return reason if now >= moment else None
    unregistered = registration.source == "inbox" and registration.expected_essay_count is None
    if unregistered and received and last_received_at is not None:
        quiet = now - last_received_at >= timedelta(seconds=quiet_seconds)
        return ClosedBy.QUIET if quiet else None
    return None


def missing_slots(expected: int | None, received: int) -> tuple[str, ...]:
    """Slots expected and not received. Slots fill in order, so they are the last ones."""
    if expected is None:
        return ()
    return tuple(slot_id(number) for number in range(received + 1, expected + 1))


def assess(
    *,
    expected: int | None,
    outcomes: Mapping[str, EssayOutcome],
    waived: frozenset[str],
    closed: bool,
) -> Completeness:
    """How complete a batch is.

    Args:
        expected: Expected count, `None` when nobody said.
        outcomes: Outcome of every received slot; `PENDING` for one without any.
        waived: Slots an operator waived; counts for missing slots and dead letters only.
        closed: Whether the batch is closed.
    """

    def slots_with(outcome: EssayOutcome) -> tuple[str, ...]:
        return tuple(sorted(slot for slot, found in outcomes.items() if found is outcome))

    missing = missing_slots(expected, len(outcomes))
    dead = slots_with(EssayOutcome.DEAD_LETTERED)
    return Completeness(
        expected=expected,
        received=len(outcomes),
        accepted=len(slots_with(EssayOutcome.ACCEPTED)),
        rejected=len(slots_with(EssayOutcome.REJECTED)),
        missing=tuple(slot for slot in missing if slot not in waived),
        pending=slots_with(EssayOutcome.PENDING),
        dead_lettered=tuple(slot for slot in dead if slot not in waived),
        waived=tuple(slot for slot in (*dead, *missing) if slot in waived),
        closed=closed,
    )


def batch_status(completeness: Completeness, *, reported: bool) -> BatchStatus:
    """What a reader is told.

    Args:
        completeness: The facts.
        reported: Whether manifest, report and (for a ready batch) release of exactly these facts
            are stored; before that a settled batch is still `processing`.
    """
    if not completeness.closed:
        return BatchStatus.RECEIVING
    if not completeness.settled or not reported:
        return BatchStatus.PROCESSING
    return BatchStatus.READY if completeness.ready else BatchStatus.INCOMPLETE
