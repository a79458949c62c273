"""`audit_report`: what happened on a day, from the ledger, with checks that its totals are true."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetExecutionContext,
    Backoff,
    DataVersion,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    RetryPolicy,
    TableColumn,
    TableColumnConstraints,
    TableRecord,
    TableSchema,
    asset,
    asset_check,
)

from huleedu_dagster.assets.groups import AUDIT_GROUP, OF_DAYS, OWNERS
from huleedu_dagster.domain.ids import ContentType
from huleedu_dagster.ledger.audit_facts import Days
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.observability.log_runs import RunLog
from huleedu_dagster.partitions import DAYS
from huleedu_dagster.reports.audit import AuditReport, stored_report, write_audit_report
from huleedu_dagster.reports.audit_checks import (
    parts_that_do_not_add_up,
    recounted_agree,
    totals_agree,
)
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.telling import store_errors_told
from huleedu_dagster.storage.port import BlobStore

AUDIT = "audit_report"
_VERSION = "3"

FRESHNESS = FreshnessPolicy.cron(
    deadline_cron="0 1 * * *", lower_bound_delta=timedelta(hours=1), timezone="UTC"
)
"""The schedule asks at 00:15 for the day that ended; at 01:00 its report is there."""

RETRIES = RetryPolicy(max_retries=3, delay=20, backoff=Backoff.EXPONENTIAL)
"""After 20, 60 and 140 seconds. The schedule asks once for a day: a database or a store that is
away for a moment in the night would leave that day without its report."""

_DESCRIPTION = """What happened on a day: files, outcomes, times, batches, and who did what.

**A partition** is a day in UTC. Batches have their names in the report; files, texts and people
have none but the names of tokens and of operators' accounts, and those are not shown here.

`totals` are counted from what is never changed afterwards, so that the report of a day long past
comes out as it would have then, and days add up. Only how batches stand `now` in the tables is of
when the report was made; it is no part of the data version. Times are in seconds.

**Materializing it again**, or backfilling days, counts again from the ledger and changes nothing
else. Days before the journal of actions began have no duplicates suppressed, waivers and actions.
"""

_REQUIRED = TableColumnConstraints(nullable=False)
CODE_COLUMNS = TableSchema(
    columns=[
        TableColumn("code", "string", "Why, in docs/error-codes.md.", _REQUIRED),
        TableColumn("count", "int", "How many essays were rejected with it.", _REQUIRED),
    ]
)
"""The columns of `rejected_by_code`."""


@asset(
    name=AUDIT,
    partitions_def=DAYS,
    description=_DESCRIPTION,
    group_name=AUDIT_GROUP,
    owners=OWNERS,
    tags=OF_DAYS,
    kinds={"json", "html", "pandas"},
    code_version=_VERSION,
    freshness_policy=FRESHNESS,
    retry_policy=RETRIES,
)
def audit_report(
    context: AssetExecutionContext, ledger: LedgerResource, blobs: BlobStoreResource
) -> MaterializeResult[None]:
    """Writes the report of a day in all its forms."""
    day = date.fromisoformat(context.partition_key)
    with RunLog(context.run.run_id).phase(AUDIT, day=context.partition_key), store_errors_told():
        report = write_audit_report(ledger.open(), blobs.open(), day)
    return MaterializeResult(data_version=DataVersion(report.sha256), metadata=_metadata(report))


def build_audit_checks() -> list[AssetChecksDefinition]:
    """The checks of a stored report: against the ledger, in itself, and counted again."""
    return [
        _check(
            "totals_equal_the_ledger",
            "The totals of the stored report are those that the ledger counts now.\n\n"
            "**When it fails**, the day was not over when the report was made, or rows of the "
            "ledger were changed by hand. Materialize the day again, and look at what differs.",
            _against_the_ledger,
        ),
        _check(
            "parts_add_up",
            "Batches, hours, codes and places of files add up to the totals.\n\n"
            "**When it fails**, the stored report was changed, or its code has a defect.",
            lambda ledger, blobs, day: parts_that_do_not_add_up(
                stored_report(ledger, blobs, day), Days.one(day)
            ),
        ),
        _check(
            "events_tell_the_same",
            "Outcomes, releases, registrations and files, counted once more from events and from "
            "the journal of actions, are those of the stored report.\n\n"
            "**When it fails**, rows of the ledger are missing, or were changed or added by hand: "
            "compare them with a backup. Of a day under version 0.1.0, look first for essays of "
            "which somebody let a part of the stages be run by itself.",
            _against_events,
        ),
    ]


_Question = Callable[[Ledger, BlobStore, date], list[str]]


def _check(name: str, description: str, differing: _Question) -> AssetChecksDefinition:
    @asset_check(asset=AUDIT, name=name, description=description, partitions_def=DAYS)
    def check(
        context: AssetCheckExecutionContext, ledger: LedgerResource, blobs: BlobStoreResource
    ) -> AssetCheckResult:
        day = date.fromisoformat(context.partition_key)
        found = differing(ledger.open(), blobs.open(), day)
        return AssetCheckResult(
            passed=not found,
            metadata={
                "differing": MetadataValue.text(", ".join(found)),
                "differing_count": MetadataValue.int(len(found)),
            },
        )

    return check


def _against_the_ledger(ledger: Ledger, blobs: BlobStore, day: date) -> list[str]:
    with ledger.read() as tx:
        counted = tx.audit.totals(day)
    return totals_agree(stored_report(ledger, blobs, day)["totals"], counted)


def _against_events(ledger: Ledger, blobs: BlobStore, day: date) -> list[str]:
    with ledger.read() as tx:
        recounted = tx.audit.recount(Days.one(day))
    return recounted_agree(stored_report(ledger, blobs, day)["totals"], recounted)


def _metadata(report: AuditReport) -> dict[str, MetadataValue]:
    content = report.content
    found: dict[str, MetadataValue] = {
        "blob": MetadataValue.text(report.blob_keys[ContentType.AUDIT_REPORT_HTML]),
        **{name: MetadataValue.int(count) for name, count in content.totals.items()},
        "batches": MetadataValue.int(len(content.batches)),
        "rejected_by_code": MetadataValue.table(
            [TableRecord({"code": it, "count": n}) for it, n in content.rejected_by_code.items()],
            CODE_COLUMNS,
        ),
    }
    for name, times in content.seconds.items():
        for share, value in asdict(times).items():
            # Nothing took no time: a plot has no point there.
            if share != "count" and value is not None:
                found[f"seconds_{name}_{share}"] = MetadataValue.float(value)
    if content.rate is not None:
        found["misspellings_per_100_words"] = MetadataValue.float(content.rate)
    return found
