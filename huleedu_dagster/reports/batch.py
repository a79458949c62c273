"""The report of one batch: JSON for programs, a plain HTML table for people."""

from collections.abc import Sequence
from typing import Any

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.misspellings import Misspelling, of_class
from huleedu_dagster.pipeline.results import (
    StoredResult,
    note_if_reported,
    report_fingerprint,
    reported_view,
    store_json,
    store_text,
    told_in_report,
)
from huleedu_dagster.pipeline.views import BatchFacts, BatchView
from huleedu_dagster.reports.templates import render
from huleedu_dagster.storage.port import BlobStore


def write_batch_report(ledger: Ledger, blobs: BlobStore, batch_id: str) -> StoredResult:
    """Store the report of a batch; an incomplete batch has one too.

    Raises:
        UnknownBatchError: The batch is not registered.
        BlobStoreError: A spelling result is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
    view, commonest = reported_view(facts), of_class(facts, blobs)
    body = {
        **told_in_report(view),
        "commonest_misspellings": [it.model_dump(mode="json") for it in commonest],
    }
    page = batch_html(view, commonest)
    json_key, digest = store_json(blobs, ContentType.BATCH_REPORT_JSON, batch_id, body)
    html_key, _ = store_text(blobs, ContentType.BATCH_REPORT_HTML, batch_id, page)
    fingerprint = report_fingerprint(facts)
    with ledger.write() as tx:
        tx.results.record(batch_id, ContentType.BATCH_REPORT_JSON, fingerprint, json_key)
        tx.results.record(batch_id, ContentType.BATCH_REPORT_HTML, fingerprint, html_key)
        note_if_reported(tx, batch_id)
    return StoredResult(html_key, digest, facts.completeness)


def batch_html(view: BatchView, commonest: Sequence[Misspelling]) -> str:
    """The report as one self-contained page."""
    values: dict[str, Any] = {"view": view, "misspellings": commonest}
    return render("batch.html", **values)
