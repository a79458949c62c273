"""The whole way of what came under one correlation id, step by step, from the ledger alone."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from huleedu_dagster.domain.events import BatchEssaysReady, BatchReadinessTimeout
from huleedu_dagster.domain.ids import BATCH_LEVEL
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Batch, StageRecord, Upload

_OF_BATCHES = frozenset({BatchEssaysReady.event_type, BatchReadinessTimeout.event_type})
_ORDER = tuple(Stage)


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
        registered = tx.traces.registered(correlation_id)
        found = {*arrived, *registered} if slot is None else set(arrived)
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
    slots = sorted({it.slot for it in arrived if it.slot is not None})
    since = min((it.received_at for it in arrived), default=batch.registration.registered_at)
    yield _registered(batch)
    for upload in arrived:
        where = f"slot {upload.slot}" if upload.slot else f"no slot ({upload.status})"
        detail = f"{where}, version {upload.version}, {upload.size} bytes"
        yield Step(upload.received_at, batch_id, upload.slot, "received", detail)
    uploads = {it.upload_id for it in arrived}
    for its_slot in slots:
        history = tx.outcomes.history(batch_id, its_slot)
        yield from _stages(it for it in history if it.upload_id in uploads)
    yield from _failures(tx, batch_id, slots, since)
    yield from _events(tx, batch, correlation_id, slot)
    yield from _end(tx, batch, slots)


def _registered(batch: Batch) -> Step:
    expected = batch.registration.expected_essay_count
    detail = f"{'any number of' if expected is None else expected} essays expected"
    return Step(batch.registration.registered_at, batch.batch_id, None, "registered", detail)


def _stages(records: Iterable[StageRecord]) -> Iterator[Step]:
    passes: dict[datetime, list[StageRecord]] = defaultdict(list)
    for record in records:
        assert record.recorded_at is not None
        passes[record.recorded_at].append(record)
    for end, together in passes.items():
        # Stages of one pass are recorded together, at its end.
        start = end - timedelta(milliseconds=sum(it.duration_ms for it in together))
        for it in sorted(together, key=lambda it: _ORDER.index(it.stage)):
            detail = it.outcome.replace("_", " ")
            if it.code is not None:
                detail += f", {it.code}{' (transient)' if it.transient else ''}"
            yield Step(start, it.batch_id, it.slot, it.stage.value, detail, it.duration_ms)
            start += timedelta(milliseconds=it.duration_ms)


def _failures(
    tx: Transaction, batch_id: str, slots: Sequence[str], since: datetime
) -> Iterator[Step]:
    places = [*slots, BATCH_LEVEL]
    for it in tx.traces.attempts(batch_id, places):
        if it.failed_at >= since:
            slot = _slot(it.slot)
            yield Step(it.failed_at, batch_id, slot, "run failed", it.reason, run_id=it.run_id)
    for letter in tx.traces.dead_letters(batch_id, places):
        if letter.created_at < since:
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


def _end(tx: Transaction, batch: Batch, slots: Sequence[str]) -> Iterator[Step]:
    batch_id = batch.batch_id
    for waiver in tx.results.waivers(batch_id):
        if waiver.slot in slots:
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
