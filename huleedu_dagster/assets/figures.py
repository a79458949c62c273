"""Figures of a batch as metadata: numbers that Dagster plots, and a table of outcomes."""

from collections import defaultdict
from datetime import datetime

from dagster import (
    MetadataValue,
    TableColumn,
    TableColumnConstraints,
    TableRecord,
    TableSchema,
)

from huleedu_dagster.domain.completeness import Completeness
from huleedu_dagster.ledger.records import Release
from huleedu_dagster.pipeline.results import reported_view
from huleedu_dagster.pipeline.views import BatchFacts, BatchView
from huleedu_dagster.reports.figures import per_hundred

_Metadata = dict[str, MetadataValue]

_REQUIRED = TableColumnConstraints(nullable=False)

OUTCOME_COLUMNS = TableSchema(
    columns=[
        TableColumn("outcome", "string", "What became of the files.", _REQUIRED),
        TableColumn("code", "string", "Why, in docs/error-codes.md; empty where all is well."),
        TableColumn("count", "int", "How many files.", _REQUIRED),
        TableColumn("slots", "string", "Their slots; files beyond the batch have none."),
    ]
)
"""The columns of `outcomes`."""

MANIFEST_COLUMNS = TableSchema(
    columns=[
        TableColumn("essay_id", "string", "The slot, in the order of arrival.", _REQUIRED),
        TableColumn("version", "int", "Files handed in under the same name.", _REQUIRED),
        TableColumn("raw_blob", "string", "Where the file is stored.", _REQUIRED),
        TableColumn("outcome", "string", "What became of the essay.", _REQUIRED),
        TableColumn("stages", "object", "Of each stage: outcome, code, data version, blob."),
    ]
)
"""The columns of the list of essays in a manifest."""


def completeness_metadata(found: Completeness) -> _Metadata:
    """How complete a batch is, as metadata."""
    return {
        "ready": MetadataValue.bool(found.ready),
        "received": MetadataValue.int(found.received),
        "accepted": MetadataValue.int(found.accepted),
        "rejected": MetadataValue.int(found.rejected),
        "pending": MetadataValue.int(len(found.pending)),
        "missing": MetadataValue.int(len(found.missing)),
        "dead_lettered": MetadataValue.int(len(found.dead_lettered)),
        "waived": MetadataValue.int(len(found.waived)),
    }


def batch_metadata(facts: BatchFacts) -> _Metadata:
    """What is counted of a batch: how complete it is, outcomes by code, words, misspellings."""
    view = reported_view(facts)
    checked = [it for it in view.essays if it.words and it.misspellings is not None]
    words = sum(it.words or 0 for it in checked)
    misspellings = sum(it.misspellings or 0 for it in checked)
    # The order is that of the page.
    found = {
        "outcomes": MetadataValue.table(_outcomes(view), OUTCOME_COLUMNS),
        **completeness_metadata(facts.completeness),
        "excess": MetadataValue.int(view.excess),
        "words": MetadataValue.int(words),
        "misspellings": MetadataValue.int(misspellings),
    }
    rate = per_hundred(misspellings, words)
    # A class of which nothing could be read has no rate, and its plot no point.
    if rate is not None:
        found["misspellings_per_100_words"] = MetadataValue.float(rate)
    return found


def manifest_rows(facts: BatchFacts) -> _Metadata:
    """The number of rows of a manifest, under the name that Dagster knows."""
    return {"dagster/partition_row_count": MetadataValue.int(len(facts.essays))}


def release_metadata(facts: BatchFacts, released: Release) -> _Metadata:
    """A revision, and how long it took to get there.

    Args:
        facts: The batch, as it is now.
        released: Its last revision.
    """
    until = released.released_at
    found = {
        "revision": MetadataValue.int(released.revision),
        "manifest": MetadataValue.text(released.manifest_blob),
        "released_at": MetadataValue.timestamp(until),
        "seconds_from_registration": _seconds(facts.batch.registration.registered_at, until),
    }
    # What came after the release is of the next revision.
    uploads = (it.upload.received_at for it in facts.essays)
    last = max((moment for moment in uploads if moment <= until), default=None)
    if last is not None:
        found["seconds_from_last_upload"] = _seconds(last, until)
    return found


def _seconds(since: datetime, until: datetime) -> MetadataValue:
    return MetadataValue.float(round((until - since).total_seconds(), 3))


def _outcomes(view: BatchView) -> list[TableRecord]:
    slots: dict[tuple[str, str], list[str]] = defaultdict(list)
    for line in view.essays:
        code = "" if line.code is None else line.code.value
        slots[line.outcome.value.replace("_", " "), code].append(line.essay_id or "")
    ordered = sorted(slots.items(), key=lambda it: (-len(it[1]), it[0]))
    return [
        TableRecord(
            {
                "outcome": outcome,
                "code": code,
                "count": len(found),
                "slots": ", ".join(filter(None, found)),
            }
        )
        for (outcome, code), found in ordered
    ]
