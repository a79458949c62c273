"""The report of one batch: JSON for programs, a plain HTML table for people."""

from typing import Any

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.results import (
    StoredResult,
    note_if_reported,
    report_json,
    store_text,
)
from huleedu_dagster.pipeline.views import BatchFacts, BatchView
from huleedu_dagster.reports.templates import render
from huleedu_dagster.storage.port import BlobStore


def write_batch_report(ledger: Ledger, blobs: BlobStore, batch_id: str) -> StoredResult:
    """Store the report of a batch; an incomplete batch has one too.

    Raises:
        UnknownBatchError: The batch is not registered.
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        facts = BatchFacts.read(tx, batch_id)
    body = report_json(facts)
    view = BatchView.model_validate_json(body)
    json_key, digest = store_text(blobs, ContentType.BATCH_REPORT_JSON, batch_id, body)
    html_key, _ = store_text(blobs, ContentType.BATCH_REPORT_HTML, batch_id, batch_html(view))
    with ledger.write() as tx:
        tx.results.record(batch_id, ContentType.BATCH_REPORT_JSON, digest, json_key)
        tx.results.record(batch_id, ContentType.BATCH_REPORT_HTML, digest, html_key)
        note_if_reported(tx, batch_id)
    return StoredResult(html_key, digest, facts.completeness)


def batch_html(view: BatchView) -> str:
    """The report as one self-contained page."""
    values: dict[str, Any] = {"view": view}
    return render("batch.html", **values)
