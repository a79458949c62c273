"""The report of one batch: JSON for programs, a page that can be printed for people."""

from collections.abc import Sequence

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.pipeline.results import (
    StoredResult,
    note_if_reported,
    report_fingerprint,
    store_json,
    store_text,
)
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports.batch_content import BatchReport
from huleedu_dagster.reports.sheets import Sheet
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
    report = BatchReport.of(facts, blobs)
    kind = ContentType.BATCH_REPORT_JSON
    json_key, digest = store_json(blobs, kind, batch_id, report.as_json())
    page = batch_html(report)
    html_key, _ = store_text(blobs, ContentType.BATCH_REPORT_HTML, batch_id, page)
    fingerprint = report_fingerprint(facts)
    with ledger.write() as tx:
        now = BatchFacts.read(tx, batch_id, lock=True)
        tx.results.record(batch_id, ContentType.BATCH_REPORT_JSON, fingerprint, json_key)
        tx.results.record(batch_id, ContentType.BATCH_REPORT_HTML, fingerprint, html_key)
        if report_fingerprint(now) == fingerprint:
            note_if_reported(tx, batch_id, now)
        else:
            # Whoever reported the batch meanwhile stored theirs before: it is to be done again.
            tx.batches.touch(batch_id)
    return StoredResult(html_key, digest, facts)


def batch_html(report: BatchReport, sheets: Sequence[Sheet] = ()) -> str:
    """The report as one self-contained page that prints on A4.

    Args:
        report: What it tells.
        sheets: Essays that follow it, each on a page of its own.
    """
    return render("batch.html", report=report, view=report.view, sheets=sheets)
