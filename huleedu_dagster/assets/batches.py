"""The closing work of a batch: manifest, report and release. Thin: the pipeline does the work.

Manifest and report come from one op, because a blocking check stops whole steps: the failing check
of an incomplete batch stops the release and nothing else, so that batch has a report too.
"""

from collections.abc import Iterator

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    asset,
    multi_asset,
)

from huleedu_dagster.assets.groups import BATCH_GROUP, OWNERS
from huleedu_dagster.domain import completeness
from huleedu_dagster.domain.completeness import Completeness
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.partitions import BATCHES
from huleedu_dagster.pipeline.results import StoredResult, release, write_manifest
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource

MANIFEST = "batch_manifest"
RELEASE = "batch_release"
REPORT = "batch_report"
_REPORT_VERSION = "3"
_RELEASE_VERSION = "1"


@multi_asset(
    name="close_batch",
    specs=[
        AssetSpec(
            MANIFEST,
            deps=[Stage.VALIDATION_RESULT.value, Stage.SPELLCHECK_RESULT.value],
            description="What is in a batch, with the version of all it was made from.",
            group_name=BATCH_GROUP,
            owners=OWNERS,
            kinds={"python", "json"},
            code_version=completeness.VERSION,
            skippable=True,
        ),
        AssetSpec(
            REPORT,
            deps=[MANIFEST],
            description="What a teacher is told about the batch, as JSON and as a page.",
            group_name=BATCH_GROUP,
            owners=OWNERS,
            kinds={"python", "html"},
            code_version=_REPORT_VERSION,
            skippable=True,
        ),
    ],
    partitions_def=BATCHES,
    can_subset=True,
)
def close_batch(
    context: AssetExecutionContext, ledger: LedgerResource, blobs: BlobStoreResource
) -> Iterator[MaterializeResult[None]]:
    """Writes the manifest and the report of a batch, complete or not."""
    writers = {MANIFEST: write_manifest, REPORT: write_batch_report}
    for name, write in writers.items():
        if AssetKey(name) in context.selected_asset_keys:
            stored = write(ledger.open(), blobs.open(), context.partition_key)
            yield _result(name, stored)


@asset(
    name=RELEASE,
    deps=[MANIFEST],
    partitions_def=BATCHES,
    group_name=BATCH_GROUP,
    owners=OWNERS,
    kinds={"python"},
    code_version=_RELEASE_VERSION,
)
def batch_release(
    context: AssetExecutionContext, ledger: LedgerResource
) -> MaterializeResult[None]:
    """The batch handed on to later phases, with one event for each revision."""
    released = release(ledger.open(), context.partition_key)
    return MaterializeResult(
        data_version=DataVersion(released.fingerprint),
        metadata={
            "revision": MetadataValue.int(released.revision),
            "manifest": MetadataValue.text(released.manifest_blob),
        },
    )


def completeness_metadata(found: Completeness) -> dict[str, MetadataValue]:
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


def _result(name: str, stored: StoredResult) -> MaterializeResult[None]:
    return MaterializeResult(
        asset_key=name,
        data_version=DataVersion(stored.sha256),
        metadata={
            "blob": MetadataValue.text(stored.blob_key),
            **completeness_metadata(stored.completeness),
        },
    )
