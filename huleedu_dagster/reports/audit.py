"""The audit report of a day: totals and batches, from the ledger, as JSON, CSV and HTML."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.domain.keys import canonical_json
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.pipeline.results import store_text
from huleedu_dagster.pipeline.views import BatchFacts, batch_view
from huleedu_dagster.reports.templates import render
from huleedu_dagster.storage.port import BlobStore

COLUMNS = (
    "batch_id",
    "status",
    "expected",
    "received",
    "ready",
    "rejected",
    "dead_lettered",
    "missing",
    "excess",
    "waived",
)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A stored audit report.

    Attributes:
        totals: Counts by name.
        sha256: Hash of the JSON form; the data version.
        blob_keys: Where each form is stored, by kind.
    """

    day: date
    totals: dict[str, int]
    sha256: str
    blob_keys: dict[ContentType, str]


def write_audit_report(ledger: Ledger, blobs: BlobStore, day: date) -> AuditReport:
    """Store the report of a day (UTC). Written again, it holds what the ledger says now.

    Raises:
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        totals = tx.audit.totals(day)
        rows = [_row(tx, batch_id) for batch_id in tx.audit.batches_touched(day)]
    body = canonical_json({"day": day.isoformat(), "totals": totals, "batches": rows})
    page = render("audit.html", day=day.isoformat(), totals=totals, rows=rows, columns=COLUMNS)
    forms = {
        ContentType.AUDIT_REPORT_JSON: body,
        ContentType.AUDIT_REPORT_CSV: _csv(rows),
        ContentType.AUDIT_REPORT_HTML: page,
    }
    stored = {kind: store_text(blobs, kind, day.isoformat(), it) for kind, it in forms.items()}
    with ledger.write() as tx:
        for kind, (key, _) in stored.items():
            tx.audit.record(day, kind, key, totals)
    return AuditReport(
        day=day,
        totals=totals,
        sha256=stored[ContentType.AUDIT_REPORT_JSON][1],
        blob_keys={kind: key for kind, (key, _) in stored.items()},
    )


def totals_agree(reported: dict[str, int], counted: dict[str, int]) -> list[str]:
    """The names whose reported total is not what the ledger counts; empty when all agree."""
    names = sorted({*reported, *counted})
    return [name for name in names if reported.get(name, 0) != counted.get(name, 0)]


def _row(tx: Transaction, batch_id: str) -> dict[str, Any]:
    view = batch_view(BatchFacts.read(tx, batch_id), tx.now)
    return view.model_dump(mode="json", include=set(COLUMNS))


def _csv(rows: list[dict[str, Any]]) -> str:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return str(frame.to_csv(index=False, lineterminator="\n"))


def stored_totals(ledger: Ledger, blobs: BlobStore, day: date) -> dict[str, int]:
    """The totals in the stored report of a day, read back from its JSON.

    Raises:
        LookupError: There is no report of this day.
        BlobStoreError: The report is missing in the store or damaged.
        OSError: The store cannot be reached.
    """
    with ledger.read() as tx:
        key = tx.audit.recorded_blob(day, ContentType.AUDIT_REPORT_JSON)
    if key is None:
        raise LookupError("there is no audit report of this day")
    digest = key.rsplit("/", 1)[-1]
    totals: dict[str, int] = json.loads(blobs.get(key, digest))["totals"]
    return totals
