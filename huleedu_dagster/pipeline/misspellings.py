"""Misspellings put together: those of one essay by word, and the commonest of a class."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.ledger.records import StageRecord
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.storage.port import BlobStore

COMMONEST = 20
"""Misspellings of a class that its report lists, at most."""


class Misspelling(BaseModel):
    """A word that was flagged, once or several times.

    Attributes:
        word: As written, in lower case.
        count: How often.
        essays: In how many essays.
        by_essay: How often in each of them, by slot.
        suggestions: The best candidates, best first.
        confidence: How far the first of them can be trusted.
    """

    model_config = ConfigDict(frozen=True)

    word: str
    count: int
    essays: int
    by_essay: dict[str, int]
    suggestions: tuple[str, ...]
    confidence: str


def grouped(corrections: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Misspelling]:
    """Put equal words together, the most frequent first, then by the alphabet.

    Args:
        corrections: The corrections of each essay by its slot, as its stored result holds them.
    """
    counts: dict[str, Counter[str]] = {}
    example: dict[str, Mapping[str, Any]] = {}
    for slot, those in corrections.items():
        for item in those:
            word = item["original"].lower()
            counts.setdefault(word, Counter())[slot] += 1
            example.setdefault(word, item)
    return [
        Misspelling(
            word=word,
            count=counts[word].total(),
            essays=len(counts[word]),
            by_essay=dict(counts[word]),
            suggestions=tuple(it.lower() for it in example[word]["suggestions"]),
            confidence=example[word]["confidence"],
        )
        for word in sorted(counts, key=lambda it: (-counts[it].total(), it))
    ]


def of_class(facts: BatchFacts, blobs: BlobStore) -> list[Misspelling]:
    """The commonest misspellings of a batch, for teaching; what may be a name is left out.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    stored = {}
    for essay in facts.essays:
        record = facts.records.get(essay.slot, {}).get(Stage.SPELLCHECK_RESULT)
        if record is not None and record.blob_key:
            stored[essay.slot] = _for_the_class(corrections_of(record, blobs))
    return grouped(stored)[:COMMONEST]


def _for_the_class(corrections: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Without the words that may be the name of a pupil."""
    return [
        it
        for it in corrections
        if it["reason"] != "may_be_a_name"
        and not (it["reason"] == "no_candidate" and it["original"][:1].isupper())
    ]


def corrections_of(record: StageRecord, blobs: BlobStore) -> list[dict[str, Any]]:
    """The corrections of an essay that has a spellcheck result.

    Raises:
        BlobStoreError: The result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    data = blobs.get(str(record.blob_key), record.details["result_sha256"])
    corrections: list[dict[str, Any]] = json.loads(data)["corrections"]
    return corrections
