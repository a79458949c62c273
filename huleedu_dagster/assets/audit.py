"""`audit_report`: what happened on a day, from the ledger, with a check that its totals agree."""

from datetime import date

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetExecutionContext,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    asset,
    asset_check,
)

from huleedu_dagster.assets.groups import AUDIT_GROUP, OWNERS
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.partitions import DAYS
from huleedu_dagster.reports.audit import stored_totals, totals_agree, write_audit_report
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource

AUDIT = "audit_report"


@asset(
    name=AUDIT,
    partitions_def=DAYS,
    group_name=AUDIT_GROUP,
    owners=OWNERS,
    kinds={"json", "csv", "html", "pandas"},
    code_version="1",
)
def audit_report(
    context: AssetExecutionContext, ledger: LedgerResource, blobs: BlobStoreResource
) -> MaterializeResult[None]:
    """Received, duplicates, rejected by code, dead letters, completed and timed out on a day."""
    day = date.fromisoformat(context.partition_key)
    report = write_audit_report(ledger.open(), blobs.open(), day)
    blob = report.blob_keys[ContentType.AUDIT_REPORT_HTML]
    counts = {name: MetadataValue.int(count) for name, count in report.totals.items()}
    return MaterializeResult(
        data_version=DataVersion(report.sha256),
        metadata={"blob": MetadataValue.text(blob), **counts},
    )


def build_totals_check() -> AssetChecksDefinition:
    """The check that the stored report says what the ledger says."""

    @asset_check(asset=AUDIT, name="totals_equal_the_ledger", partitions_def=DAYS)
    def totals_equal_the_ledger(
        context: AssetCheckExecutionContext, ledger: LedgerResource, blobs: BlobStoreResource
    ) -> AssetCheckResult:
        """The totals in the stored report are those that the ledger counts now."""
        day = date.fromisoformat(context.partition_key)
        with ledger.open().read() as tx:
            counted = tx.audit.totals(day)
        differing = totals_agree(stored_totals(ledger.open(), blobs.open(), day), counted)
        return AssetCheckResult(
            passed=not differing, metadata={"differing": MetadataValue.text(", ".join(differing))}
        )

    return totals_equal_the_ledger
