"""Where a batch stands, put together for its page from one reading of the ledger."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from huleedu_dagster.domain.completeness import BatchStatus, closing_moment
from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType
from huleedu_dagster.domain.outcomes import Code, Explanation, explain
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.records import Batch, DeadLetter, Essay
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, EssayView, batch_view

_OVER = frozenset({BatchStatus.READY, BatchStatus.INCOMPLETE})


@dataclass(frozen=True, slots=True)
class EssayLine:
    """One essay, or a slot in which nothing is.

    Attributes:
        view: What every surface is told; `None` for a missing essay.
        explanation: What its code means, `None` without a code.
        received_at: When its current version came.
        version: Number of its current version.
        dead_letter: Number of its open dead letter.
        waived_because: The operator's reason.
        upload_id: Of a file without a slot, under which its bytes can be had.
        twin: Slot of an essay with the same content, if it has one.
        twin_name: Name of a file without a slot that has the same content.
    """

    slot: str
    view: EssayView | None
    explanation: Explanation | None = None
    received_at: datetime | None = None
    version: int = 1
    dead_letter: int | None = None
    waived_because: str | None = None
    upload_id: str | None = None
    twin: str | None = None
    twin_name: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A batch as its page shows it.

    Attributes:
        waiting: Essays without an outcome.
        again: Essays that have one and are worked over again.
        closes_at: When it closes by the clock, `None` if it does not or is closed.
        unplaced: Files that are kept and not counted.
        closing_letter: The dead letter of the batch's closing work.
        has_report: Whether a report is stored.
        settled: Nothing more happens by itself.
        now: When this was read.
    """

    batch: Batch
    view: BatchView
    lines: tuple[EssayLine, ...]
    unplaced: tuple[EssayLine, ...]
    waiting: int
    again: int
    closes_at: datetime | None
    closing_letter: int | None
    has_report: bool
    settled: bool
    now: datetime

    @classmethod
    def read(cls, tx: Transaction, batch_id: str) -> "Standing":
        """Read a batch.

        Raises:
            UnknownBatchError: It is not registered.
        """
        facts = BatchFacts.read(tx, batch_id)
        view = batch_view(facts, tx.now)
        letters = {it.slot: it for it in tx.failures.open_letters(batch_id)}
        essays = {it.slot: it for it in facts.essays}
        closed = facts.batch.closed_at is not None
        lines = [
            _line(facts, it, essays.get(it.essay_id), letters) for it in view.essays if it.essay_id
        ]
        # Of a batch that takes essays nothing is missing yet.
        lines += [EssayLine(it, None) for it in facts.completeness.missing if closed]
        closing = letters.get(BATCH_LEVEL)
        return cls(
            batch=facts.batch,
            view=view,
            lines=tuple(sorted(lines, key=lambda it: it.slot)),
            unplaced=tuple(_unplaced(it) for it in view.essays if it.essay_id is None),
            waiting=len(facts.completeness.pending),
            again=sum(it.reprocess is not None for it in facts.essays),
            closes_at=None if closed else closing_moment(facts.batch.registration),
            closing_letter=None if closing is None else closing.dead_letter_id,
            has_report=tx.results.latest_blob(batch_id, ContentType.BATCH_REPORT_HTML) is not None,
            settled=view.status in _OVER and not facts.reprocessing,
            now=tx.now,
        )

    @property
    def tally(self) -> list[tuple[str, int, int]]:
        """Kind, first and number of the slots of each state, for a bar that shows them in order."""
        counts = Counter(
            "missing" if it.view is None else it.view.outcome.value for it in self.lines
        )
        counts["missing"] += max(0, self.total - sum(counts.values()))
        bars, begin = [], 0
        for kind in ("accepted", "rejected", "dead_lettered", "waived", "pending", "missing"):
            bars.append((kind, begin, counts[kind]))
            begin += counts[kind]
        return [it for it in bars if it[2]]

    @property
    def has_late_files(self) -> bool:
        """Whether files came after the batch was closed."""
        return any(it.view and it.view.code is Code.ARRIVED_LATE for it in self.unplaced)

    @property
    def total(self) -> int:
        """How many essays there should be, or are where nobody said."""
        return self.view.expected or len(self.lines)


def _line(
    facts: BatchFacts, view: EssayView, essay: Essay | None, letters: dict[str, DeadLetter]
) -> EssayLine:
    slot = str(view.essay_id)
    letter = letters.get(slot)
    return EssayLine(
        slot=slot,
        view=view,
        explanation=None if view.code is None else explain(view.code),
        received_at=None if essay is None else essay.upload.received_at,
        version=1 if essay is None else essay.upload.version,
        dead_letter=None if letter is None else letter.dead_letter_id,
        waived_because=facts.waivers.get(slot),
        **_twin(view, {it.slot for it in facts.essays}),
    )


def _unplaced(view: EssayView) -> EssayLine:
    explanation = None if view.code is None else explain(view.code)
    # The last part of a raw blob's key is the id of its upload.
    upload_id = None if view.raw_blob is None else view.raw_blob.rsplit("/", 1)[-1]
    return EssayLine("", view, explanation, upload_id=upload_id, twin_name=view.duplicate_of)


def _twin(view: EssayView, slots: set[str]) -> dict[str, str | None]:
    other = view.duplicate_of
    is_slot = other in slots
    return {"twin": other if is_slot else None, "twin_name": None if is_slot else other}
