"""A batch's life: registered, closed, reopened, waived, replayed."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from huleedu_dagster.domain.actions import SYSTEM, Action
from huleedu_dagster.domain.completeness import ClosedBy, due_to_close
from huleedu_dagster.domain.events import BatchReadinessTimeout
from huleedu_dagster.domain.ids import BATCH_LEVEL, check_batch_id, check_slot
from huleedu_dagster.domain.registration import BatchSettings, NewRegistration, Registration
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.metrics import Completion
from huleedu_dagster.ledger.records import Batch, DeadLetter, DeadLetterState
from huleedu_dagster.pipeline.views import BatchFacts


class NotWaivableError(ValueError):
    """The slot is neither missing nor a dead letter."""


class EmptyReasonError(ValueError):
    """A waiver needs a reason."""


class NotReplayableError(ValueError):
    """The dead letter is not open."""


def register(
    ledger: Ledger,
    batch_id: str,
    *,
    settings: BatchSettings,
    expected_essay_count: int | None = None,
    deadline: datetime | None = None,
    timeout_seconds: float | None = None,
    source: str = "cli",
    course: str = "",
    class_name: str = "",
    instructions: str = "",
    correlation_id: str | None = None,
    owner: str | None = None,
    and_then: Callable[[Transaction, Registration], None] | None = None,
) -> bool:
    """Register a batch; one that is registered is left as it is.

    Args:
        ledger: Where it is registered.
        batch_id: Its id.
        settings: What decides results.
        expected_essay_count: Slots it has; `None` if nobody said.
        deadline: When it closes.
        timeout_seconds: Seconds until it closes, where there is no deadline; a year at most.
        source: Who registers: `cli`, `inbox` or `api`.
        course: Name of the course.
        class_name: Name of the class.
        instructions: What the essays are about.
        correlation_id: Ties its events together; a new one if `None`.
        owner: Id of the API token that registers, if one does; the batch is visible to it.
        and_then: What is to be recorded together with a new batch, or not at all.

    Returns:
        Whether it is new.

    Raises:
        InvalidIdError: The id does not fit the grammar.
        pydantic.ValidationError: A value is out of range.
    """
    with ledger.write() as tx:
        registration = NewRegistration(
            batch_id=check_batch_id(batch_id),
            registered_at=tx.now,
            correlation_id=correlation_id or str(uuid.uuid4()),
            settings=settings,
            expected_essay_count=expected_essay_count,
            deadline=deadline,
            timeout_seconds=timeout_seconds,
            source=source,
            course=course,
            class_name=class_name,
            instructions=instructions,
        )
        if not tx.batches.register(registration, owner):
            return False
        tx.actions.record(
            Action.REGISTERED,
            batch_id=batch_id,
            correlation_id=registration.correlation_id,
        )
        if and_then is not None:
            and_then(tx, registration)
        return True


def change_settings(ledger: Ledger, batch_id: str, settings: BatchSettings) -> bool:
    """Change a batch's settings. Its results become stale; nothing is computed by itself.

    Returns:
        Whether they differ from what they were.

    Raises:
        UnknownBatchError: The batch is not registered.
    """
    with ledger.write() as tx:
        batch = tx.batches.get(batch_id, lock=True)
        if batch.registration.settings == settings:
            return False
        tx.batches.change_settings(batch_id, settings)
        tx.actions.record(Action.SETTINGS_CHANGED, batch_id=batch_id)
        return True


def close(ledger: Ledger, batch_id: str, reason: ClosedBy = ClosedBy.REQUEST) -> bool:
    """Close a batch.

    Returns:
        Whether it was open.

    Raises:
        UnknownBatchError: The batch is not registered.
    """
    with ledger.write() as tx:
        return _close(tx, tx.batches.get(batch_id, lock=True), reason)


def close_what_is_due(ledger: Ledger, *, quiet_seconds: float) -> int:
    """Close every batch that is full, past its deadline or timeout, or quiet.

    Args:
        ledger: The ledger; its clock is the one that counts.
        quiet_seconds: See `due_to_close`.

    Returns:
        Number of batches closed.
    """
    with ledger.read() as tx:
        found = tx.batches.closing(quiet_seconds)
        due = [batch.batch_id for batch in found if _due(tx, batch, quiet_seconds)]
    closed = 0
    for batch_id in due:
        with ledger.write() as tx:
            batch = tx.batches.get(batch_id, lock=True)
            reason = _due(tx, batch, quiet_seconds)
            closed += reason is not None and _close(tx, batch, reason)
    return closed


def waive(ledger: Ledger, batch_id: str, slot: str, reason: str) -> bool:
    """Go on without a missing essay or a dead letter.

    Returns:
        Whether it is news.

    Raises:
        InvalidIdError: The slot does not fit the grammar.
        UnknownBatchError: The batch is not registered.
        NotWaivableError: The slot is neither missing nor a dead letter.
        EmptyReasonError: The reason is empty.
    """
    check_slot(slot)
    if not reason.strip():
        raise EmptyReasonError("a waiver needs a reason")
    with ledger.write() as tx:
        tx.batches.get(batch_id, lock=True)
        completeness = BatchFacts.read(tx, batch_id).completeness
        if slot in completeness.waived:
            return False
        if slot not in (*completeness.missing, *completeness.dead_lettered):
            raise NotWaivableError("only a missing essay or a dead letter can be waived")
        tx.results.waive(batch_id, slot, reason)
        tx.batches.touch(batch_id)
        tx.actions.record(Action.WAIVED, batch_id=batch_id, slot=slot)
        return True


def replay(ledger: Ledger, dead_letter_id: int) -> DeadLetter:
    """Let what became a dead letter be tried again.

    Returns:
        The dead letter as it was.

    Raises:
        UnknownDeadLetterError: There is none of this number.
        NotReplayableError: It is not open.
    """
    with ledger.write() as tx:
        batch_id = tx.failures.dead_letter(dead_letter_id).batch_id
        batch = tx.batches.get(batch_id, lock=True)
        # As it is now that nobody else can change it.
        letter = tx.failures.dead_letter(dead_letter_id)
        if letter.state is not DeadLetterState.OPEN:
            raise NotReplayableError("this dead letter is not open any more")
        tx.failures.resolve(letter.batch_id, letter.slot, DeadLetterState.REPLAYED)
        if letter.slot == BATCH_LEVEL:
            tx.batches.set_attempts(letter.batch_id, 0, batch.generation + 1)
        else:
            essay = tx.essays.in_slot(letter.batch_id, letter.slot)
            generation = letter.generation if essay is None else essay.generation
            tx.essays.set_attempts(letter.batch_id, letter.slot, 0, generation + 1)
            tx.essays.wait_again(letter.batch_id, letter.slot)
        tx.batches.touch(letter.batch_id)
        tx.actions.record(Action.REPLAYED, batch_id=letter.batch_id, slot=letter.slot)
        return letter


def dead_letters(ledger: Ledger, *, only_open: bool = True) -> Sequence[DeadLetter]:
    """Dead letters, the first first."""
    with ledger.read() as tx:
        return tx.failures.open_letters() if only_open else tx.failures.all_letters()


def _due(tx: Transaction, batch: Batch, quiet_seconds: float) -> ClosedBy | None:
    if batch.closed_at is not None:
        return None
    return due_to_close(
        batch.registration,
        received=tx.essays.count(batch.batch_id),
        last_received_at=batch.last_received_at,
        quiet_seconds=quiet_seconds,
        now=tx.now,
    )


def _close(tx: Transaction, batch: Batch, reason: ClosedBy) -> bool:
    if not tx.batches.close(batch.batch_id, reason):
        return False
    # What is full, or due, nobody closed, whoever's act made it so.
    actor = None if reason is ClosedBy.REQUEST else SYSTEM
    tx.actions.record(Action.CLOSED, batch_id=batch.batch_id, actor=actor)
    found = BatchFacts.read(tx, batch.batch_id).completeness
    if found.expected is not None and found.missing and reason is not ClosedBy.FULL:
        tx.metrics.count_completion(batch.registration.registered_at, Completion.INCOMPLETE)
        event = BatchReadinessTimeout(
            batch_id=batch.batch_id,
            expected_count=found.expected,
            received_count=found.received,
            missing_count=len(found.missing),
            missing_essay_ids=found.missing,
            closed_by=reason.value,
            closed_at=tx.now,
        )
        tx.outbox.publish(
            event,
            correlation_id=batch.registration.correlation_id,
            batch_id=batch.batch_id,
        )
    return True
