"""Misspellings put together: those of one essay by word, and the commonest of a class."""

import json
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
        suggestions: The best candidates, best first.
        confidence: How far the first of them can be trusted.
    """

    model_config = ConfigDict(frozen=True)

    word: str
    count: int
    essays: int
    suggestions: tuple[str, ...]
    confidence: str


def grouped(corrections_by_essay: Iterable[Iterable[Mapping[str, Any]]]) -> list[Misspelling]:
    """Put equal words together, the most frequent first, then by the alphabet.

    Args:
        corrections_by_essay: The corrections of each essay, as its stored result holds them.
    """
    counts: dict[str, int] = {}
    essays: dict[str, set[int]] = {}
    example: dict[str, Mapping[str, Any]] = {}
    for number, corrections in enumerate(corrections_by_essay):
        for item in corrections:
            word = item["original"].lower()
            counts[word] = counts.get(word, 0) + 1
            essays.setdefault(word, set()).add(number)
            example.setdefault(word, item)
    return [
        Misspelling(
            word=word,
            count=counts[word],
            essays=len(essays[word]),
            suggestions=tuple(it.lower() for it in example[word]["suggestions"]),
            confidence=example[word]["confidence"],
        )
        for word in sorted(counts, key=lambda it: (-counts[it], it))
    ]


def of_class(facts: BatchFacts, blobs: BlobStore) -> list[Misspelling]:
    """The commonest misspellings of a batch, for teaching; what may be a name is left out.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    spelled = (facts.records.get(it.slot, {}).get(Stage.SPELLCHECK_RESULT) for it in facts.essays)
    stored = [corrections_of(it, blobs) for it in spelled if it is not None and it.blob_key]
    return grouped(map(_for_the_class, stored))[:COMMONEST]


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
