"""The audit report of a day in all its forms: JSON, CSV, parquet and a page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from huleedu_dagster.domain.ids import BATCH_LEVEL, ContentType, derived_blob_key
from huleedu_dagster.domain.keys import canonical_json, sha256_hex
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.reports.audit_content import AuditContent
from huleedu_dagster.reports.audit_page import audit_html
from huleedu_dagster.reports.audit_tables import EssayTable, batches_csv, batches_parquet
from huleedu_dagster.storage.port import BlobStore

Forms = Mapping[ContentType, bytes]


@dataclass(frozen=True, slots=True)
class AuditReport:
    """A stored audit report.

    Attributes:
        content: What it tells.
        sha256: Hash of all that does not change any more; the data version.
        blob_keys: Where each form is stored, by kind.
    """

    content: AuditContent
    sha256: str
    blob_keys: dict[ContentType, str]

    @property
    def totals(self) -> dict[str, int]:
        """Counts by name."""
        return dict(self.content.totals)


def audit_forms(ledger: Ledger, days: Days) -> tuple[AuditContent, Forms]:
    """The audit of some days in every form; nothing is stored.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    essays = EssayTable()
    with ledger.read() as tx:
        content = AuditContent.read(tx, days, essays.add)
    return content, {
        ContentType.AUDIT_REPORT_JSON: canonical_json(content.as_json()).encode(),
        ContentType.AUDIT_REPORT_CSV: batches_csv(content),
        ContentType.AUDIT_REPORT_HTML: audit_html(content).encode(),
        ContentType.AUDIT_BATCHES_PARQUET: batches_parquet(content),
        ContentType.AUDIT_ESSAYS_PARQUET: essays.parquet(),
    }


def write_audit_report(ledger: Ledger, blobs: BlobStore, day: date) -> AuditReport:
    """Store the report of a day (UTC). Written again, it holds what the ledger says now.

    Raises:
        OSError: The store cannot be reached.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    content, forms = audit_forms(ledger, Days.one(day))
    keys = {kind: _store(blobs, kind, day, data) for kind, data in forms.items()}
    totals = dict(content.totals)
    with ledger.write() as tx:
        for kind, key in keys.items():
            tx.audit.record(day, kind, key, totals)
    return AuditReport(content, content.version, keys)


def stored_report(ledger: Ledger, blobs: BlobStore, day: date) -> dict[str, Any]:
    """The stored report of a day, read back from its JSON.

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
    report: dict[str, Any] = json.loads(blobs.get(key, digest))
    return report


def _store(blobs: BlobStore, kind: ContentType, day: date, data: bytes) -> str:
    key = derived_blob_key(kind, day.isoformat(), BATCH_LEVEL, sha256_hex(data))
    blobs.put(key, data)
    return key
