"""What the report of a batch tells, put together from its facts; the clock plays no part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from huleedu_dagster.domain.outcomes import EssayOutcome, Explanation, explain
from huleedu_dagster.pipeline.misspellings import Misspelling, of_class
from huleedu_dagster.pipeline.results import reported_view, told_in_report
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, EssayView
from huleedu_dagster.reports.charts import histogram
from huleedu_dagster.reports.figures import MOST_BINS, Bin, distribution, middle, per_hundred
from huleedu_dagster.storage.port import BlobStore

_RATE_STEP = 0.1
_LEAST_BINS = 4
_ESSAYS_OF_BIN = 2
"""In the mean, or the bars of a small class would be of one essay each."""


@dataclass(frozen=True, slots=True)
class Line:
    """One file of the batch.

    Attributes:
        view: What every surface is told of it.
        explanation: Reason and remedy of its code, `None` without a code.
        rate: Its misspellings per 100 words, `None` where its spelling was not checked.
    """

    view: EssayView
    explanation: Explanation | None
    rate: float | None

    @property
    def note(self) -> str:
        """What to know about a file that needs no remedy, empty if nothing."""
        return "" if self.explanation else self.view.message


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a teacher is told about a batch.

    Attributes:
        view: Counts and files.
        name: What the teacher calls the class, or the batch's id.
        course: What the class was doing, empty if nobody said.
        language: Code of the language that the essays are written in.
        registered_on: The day the batch was registered, in UTC.
        lines: The files, those without a slot last.
        missing: Slots in which nothing was handed in, waived ones left out.
        waivers: Why an operator went on without a slot, by slot.
        misspellings: The commonest of the class.
    """

    view: BatchView
    name: str
    course: str
    language: str
    registered_on: date
    lines: tuple[Line, ...]
    missing: tuple[str, ...]
    waivers: Mapping[str, str]
    misspellings: Sequence[Misspelling]

    @classmethod
    def of(cls, facts: BatchFacts, blobs: BlobStore) -> "BatchReport":
        """Put the report together.

        Raises:
            BlobStoreError: A spelling result is missing in the store or damaged.
            OSError: The store cannot be reached.
        """
        view = reported_view(facts)
        registration = facts.batch.registration
        return cls(
            view=view,
            name=registration.class_name or view.batch_id,
            course=registration.course,
            language=registration.settings.language,
            registered_on=registration.registered_at.astimezone(UTC).date(),
            lines=tuple(map(_line, view.essays)),
            # Of a batch that takes essays nothing is missing yet.
            missing=facts.completeness.missing if facts.batch.closed_at else (),
            waivers={slot: facts.waivers[slot] for slot in facts.completeness.waived},
            misspellings=of_class(facts, blobs),
        )

    @property
    def with_code(self) -> list[Line]:
        """Files that were not accepted, each with reason and remedy."""
        return [it for it in self.lines if it.explanation is not None]

    @property
    def has_only_rejected(self) -> bool:
        """Whether all of those were rejected, and none is stuck or has no slot."""
        return all(it.view.outcome is EssayOutcome.REJECTED for it in self.with_code)

    @property
    def duplicates(self) -> list[Line]:
        """Files with the same content as another one."""
        return [it for it in self.lines if it.view.duplicate_of is not None]

    @property
    def has_notes(self) -> bool:
        """Whether there is something to know about a file, beside what needs attention."""
        return any(it.note or it.view.duplicate_of for it in self.lines)

    @property
    def lengths(self) -> list[int]:
        """Words of each essay whose spelling was checked."""
        return [it.view.words for it in self.lines if it.rate is not None and it.view.words]

    @property
    def rates(self) -> list[float]:
        """Misspellings per 100 words of each of them."""
        return [it.rate for it in self.lines if it.rate is not None]

    @property
    def class_rate(self) -> float | None:
        """Misspellings per 100 words of all their texts together."""
        counted = sum(it.view.misspellings or 0 for it in self.lines if it.rate is not None)
        return per_hundred(counted, sum(self.lengths))

    @property
    def middle_length(self) -> float | None:
        """Half of those essays have so many words or fewer."""
        return middle(self.lengths)

    @property
    def charts(self) -> tuple[str, ...]:
        """How lengths and misspellings are spread over the class, as SVG; none without essays."""
        if not self.rates:
            return ()
        return (
            histogram(
                _ranges(self.lengths),
                name="lengths",
                title="Length of the essays",
                axis="Words of an essay",
            ),
            histogram(
                _ranges(self.rates),
                name="rates",
                title="Misspellings of the essays",
                axis="Misspellings per 100 words",
                step=_RATE_STEP,
            ),
        )

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            **told_in_report(self.view),
            "missing_essays": list(self.missing),
            "waivers": dict(self.waivers),
            "misspellings_per_100_words": {
                "class": self.class_rate,
                "essays": {it.view.essay_id: it.rate for it in self.lines if it.rate is not None},
            },
            "commonest_misspellings": [it.model_dump(mode="json") for it in self.misspellings],
        }


def _ranges(values: Sequence[float]) -> tuple[Bin, ...]:
    most = min(MOST_BINS, max(_LEAST_BINS, len(values) // _ESSAYS_OF_BIN))
    return distribution(values, most)


def _line(view: EssayView) -> Line:
    return Line(
        view=view,
        explanation=None if view.code is None else explain(view.code),
        rate=per_hundred(view.misspellings, view.words),
    )
