"""The whole way of what came under one correlation id, step by step, from the ledger alone."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.domain.events import BatchEssaysReady, BatchReadinessTimeout
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.actions import ActionRecord
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Batch, StageRecord, Upload, UploadStatus

_OF_BATCHES = frozenset({BatchEssaysReady.event_type, BatchReadinessTimeout.event_type})
_ORDER = tuple(Stage)
_NEVER = datetime.max.replace(tzinfo=UTC)
_DONE: Mapping[Action, str] = {
    Action.UNCHANGED: "received again",
    Action.SETTINGS_CHANGED: "settings changed",
    Action.CLOSED: "closed",
    Action.REOPENED: "reopened",
    Action.WAIVED: "waived",
    Action.REPLAYED: "replayed",
    Action.REPROCESSED: "reprocessing asked for",
    Action.ARCHIVED: "archived",
}
"""How what somebody did is told; the ledger has more to say of the rest."""
_TO_ALL = {
    *(Action.SETTINGS_CHANGED, Action.CLOSED, Action.REOPENED),
    *(Action.REPROCESSED, Action.ARCHIVED),
}
"""What is part of an essay's way although it was done to its batch."""


_Span = tuple[datetime, datetime]
"""From a moment on, and before another."""


class UnknownCorrelationError(LookupError):
    """Nothing was recorded under this correlation id."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. It holds no file name, no text and nobody's name.

    Attributes:
        at: When it happened, or began if it took time.
        slot: The essay; `None` for what is about the batch.
        what: What happened, in a word or two.
        detail: More about it.
        duration_ms: How long it took, milliseconds, if that is known.
        run_id: The Dagster run it happened in, if the ledger knows.
    """

    at: datetime
    batch_id: str
    slot: str | None
    what: str
    detail: str = ""
    duration_ms: int | None = None
    run_id: str | None = None

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "at": self.at.isoformat(),
            "batch_id": self.batch_id,
            "essay_id": self.slot,
            "what": self.what,
            "detail": self.detail,
            "duration_ms": self.duration_ms,
            "run_id": self.run_id,
        }


def trace(ledger: Ledger, correlation_id: str, slot: str | None = None) -> list[Step]:
    """All that is recorded of what came under a correlation id, the first first.

    What happened to the batches that it touched is told too: without their closing and release, no
    essay's way is whole.

    Args:
        ledger: Where it is recorded.
        correlation_id: The id, as answers, events and logs have it.
        slot: Leaves all other essays out.

    Raises:
        UnknownCorrelationError: Nothing is recorded under it.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    with ledger.read() as tx:
        arrived: dict[str, list[Upload]] = defaultdict(list)
        for upload in tx.traces.uploads(correlation_id):
            if slot is None or upload.slot == slot:
                arrived[upload.batch_id].append(upload)
        touched = {it for it, place in tx.traces.touched(correlation_id) if slot in (None, place)}
        found = {*arrived, *touched}
        if slot is None:
            found.update(tx.traces.registered(correlation_id))
        if not found:
            raise UnknownCorrelationError(correlation_id)
        steps = [
            step
            for batch_id in sorted(found)
            for step in _of_batch(tx, batch_id, arrived[batch_id], correlation_id, slot)
        ]
    # Stable: what happened in one transaction stays in the order of its telling.
    return sorted(steps, key=lambda it: it.at)


def _of_batch(
    tx: Transaction,
    batch_id: str,
    arrived: Sequence[Upload],
    correlation_id: str,
    slot: str | None,
) -> Iterator[Step]:
    batch = tx.batches.get(batch_id)
    is_its_own = slot is None and batch.registration.correlation_id == correlation_id
    since = min((it.received_at for it in arrived), default=batch.registration.registered_at)
    yield _registered(batch)
    spans: dict[str, list[_Span]] = defaultdict(list)
    for upload in arrived:
        where = f"slot {upload.slot}" if upload.slot else f"no slot ({upload.status})"
        detail = f"{where}, version {upload.version}, {upload.size} bytes"
        yield Step(upload.received_at, batch_id, upload.slot, "received", detail)
        if upload.slot is None:
            continue
        newer = _newer(tx, upload)
        spans[upload.slot].append((upload.received_at, newer.received_at if newer else _NEVER))
        if newer is not None:
            detail = f"by version {newer.version}"
            yield Step(newer.received_at, batch_id, upload.slot, "replaced", detail)
    uploads = {it.upload_id: it for it in arrived}
    for its_slot in sorted(spans):
        history = tx.outcomes.history(batch_id, its_slot)
        yield from _stages([it for it in history if it.upload_id in uploads], uploads)
    spans[BATCH_LEVEL] = [(since, _NEVER)]
    yield from _failures(tx, batch_id, spans)
    yield from _events(tx, batch, correlation_id, slot)
    known = set()
    for step in _end(tx, batch, None if is_its_own else spans):
        known.add((step.at, step.slot, step.what))
        yield step
    for action in tx.actions.of_batch(batch_id):
        ours = action.correlation_id == correlation_id and slot in (None, action.slot)
        theirs = action.acted_at >= since and (is_its_own or action.slot in (None, *spans))
        if (ours or (theirs and action.action in _TO_ALL)) and action.action in _DONE:
            step = _done(action)
            # With what led to it, if the ledger has that.
            if (step.at, step.slot, step.what) not in known:
                yield step


def _newer(tx: Transaction, upload: Upload) -> Upload | None:
    """The upload that took the place of this one."""
    later = (
        it
        for it in tx.essays.versions(upload.batch_id, upload.path)
        if it.version > upload.version and it.status is UploadStatus.ASSIGNED
    )
    return next(later, None)


def _done(action: ActionRecord) -> Step:
    detail = f"by {action.actor.kind}"
    if action.action is Action.UNCHANGED:
        detail += f", {action.amount} unchanged"
    if action.action is Action.REPROCESSED:
        detail += f", {action.amount} essay{'s' if action.amount > 1 else ''}"
    slot = None if action.slot is None else _slot(action.slot)
    assert action.batch_id is not None
    return Step(action.acted_at, action.batch_id, slot, _DONE[action.action], detail)


def _registered(batch: Batch) -> Step:
    expected = batch.registration.expected_essay_count
    detail = f"{'any number of' if expected is None else expected} essays expected"
    return Step(batch.registration.registered_at, batch.batch_id, None, "registered", detail)


def _stages(records: Iterable[StageRecord], uploads: Mapping[str, Upload]) -> Iterator[Step]:
    passes: dict[datetime, list[StageRecord]] = defaultdict(list)
    for record in records:
        assert record.recorded_at is not None
        passes[record.recorded_at].append(record)
    for end, together in passes.items():
        # Stages of one pass are recorded together, at its end.
        start = end - timedelta(milliseconds=sum(it.duration_ms for it in together))
        # A clock that was set back does not let work begin before there was any.
        start = max(start, uploads[together[0].upload_id].received_at)
        for it in sorted(together, key=lambda it: _ORDER.index(it.stage)):
            detail = it.outcome.replace("_", " ")
            if it.code is not None:
                detail += f", {it.code}{' (transient)' if it.transient else ''}"
            yield Step(start, it.batch_id, it.slot, it.stage.value, detail, it.duration_ms)
            start += timedelta(milliseconds=it.duration_ms)


def _failures(
    tx: Transaction, batch_id: str, spans: Mapping[str, Sequence[_Span]]
) -> Iterator[Step]:
    """Failures at these places in the times that they were ours."""

    def is_ours(place: str, at: datetime) -> bool:
        return any(start <= at < end for start, end in spans[place])

    for it in tx.traces.attempts(batch_id, spans):
        if is_ours(it.slot, it.failed_at):
            slot = _slot(it.slot)
            yield Step(it.failed_at, batch_id, slot, "run failed", it.reason, run_id=it.run_id)
    for letter in tx.traces.dead_letters(batch_id, spans):
        if not is_ours(letter.slot, letter.created_at):
            continue
        slot, name = _slot(letter.slot), f"dead letter {letter.dead_letter_id}"
        detail = f"{letter.reason} after {letter.attempts} attempts"
        yield Step(letter.created_at, batch_id, slot, name, detail)
        if letter.resolved_at is not None:
            yield Step(letter.resolved_at, batch_id, slot, name, letter.state.value)


def _events(tx: Transaction, batch: Batch, correlation_id: str, slot: str | None) -> Iterator[Step]:
    for _, envelope in tx.outbox.envelopes(batch.batch_id):
        essay_id = envelope["data"].get("essay_id")
        kind = envelope["event_type"]
        ours = envelope["correlation_id"] == correlation_id and slot in (None, essay_id)
        if ours or kind in _OF_BATCHES:
            at = datetime.fromisoformat(envelope["event_timestamp"])
            yield Step(at, batch.batch_id, essay_id, "event", f"{kind} {envelope['event_id']}")


def _end(tx: Transaction, batch: Batch, slots: Container[str] | None) -> Iterator[Step]:
    """What happened to a batch, and to these essays of it or to all."""
    batch_id = batch.batch_id
    for waiver in tx.results.waivers(batch_id):
        if slots is None or waiver.slot in slots:
            yield Step(waiver.waived_at, batch_id, waiver.slot, "waived")
    if batch.closed_at is not None:
        yield Step(batch.closed_at, batch_id, None, "closed", f"by {batch.closed_by}")
    for it in tx.traces.stored(batch_id):
        yield Step(it.recorded_at, batch_id, None, "stored", it.kind)
    for release in tx.traces.releases(batch_id):
        detail = f"revision {release.revision}"
        yield Step(release.released_at, batch_id, None, "released", detail)


def _slot(place: str) -> str | None:
    return None if place == BATCH_LEVEL else place
