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

from huleedu_dagster.assets import texts
from huleedu_dagster.assets.figures import (
    MANIFEST_COLUMNS,
    batch_metadata,
    manifest_rows,
    release_metadata,
)
from huleedu_dagster.assets.groups import BATCH_GROUP, OF_BATCHES, OWNERS
from huleedu_dagster.domain import completeness
from huleedu_dagster.domain.outcomes import Stage
from huleedu_dagster.observability.log_runs import RunLog
from huleedu_dagster.partitions import BATCHES
from huleedu_dagster.pipeline.results import StoredResult, release, write_manifest
from huleedu_dagster.pipeline.views import BatchFacts
from huleedu_dagster.reports.batch import write_batch_report
from huleedu_dagster.resources.blobs import BlobStoreResource
from huleedu_dagster.resources.ledger import LedgerResource
from huleedu_dagster.resources.pages import IntakePagesResource
from huleedu_dagster.resources.telling import store_errors_told

MANIFEST = "batch_manifest"
RELEASE = "batch_release"
REPORT = "batch_report"
_REPORT_VERSION = "4"
_RELEASE_VERSION = "1"


@multi_asset(
    name="close_batch",
    specs=[
        AssetSpec(
            MANIFEST,
            deps=[Stage.VALIDATION_RESULT.value, Stage.SPELLCHECK_RESULT.value],
            description=texts.MANIFEST,
            metadata={"dagster/column_schema": MANIFEST_COLUMNS},
            group_name=BATCH_GROUP,
            owners=OWNERS,
            tags=OF_BATCHES,
            kinds={"python", "json"},
            code_version=completeness.VERSION,
            skippable=True,
        ),
        AssetSpec(
            REPORT,
            deps=[MANIFEST],
            description=texts.REPORT,
            group_name=BATCH_GROUP,
            owners=OWNERS,
            tags=OF_BATCHES,
            kinds={"python", "html"},
            code_version=_REPORT_VERSION,
            skippable=True,
        ),
    ],
    partitions_def=BATCHES,
    can_subset=True,
)
def close_batch(
    context: AssetExecutionContext,
    ledger: LedgerResource,
    blobs: BlobStoreResource,
    pages: IntakePagesResource,
) -> Iterator[MaterializeResult[None]]:
    """Writes the manifest and the report of a batch, complete or not."""
    writers = {MANIFEST: write_manifest, REPORT: write_batch_report}
    log = RunLog.of_batch(ledger.open(), context.partition_key, context.run.run_id)
    for name, write in writers.items():
        if AssetKey(name) in context.selected_asset_keys:
            with log.phase(name), store_errors_told():
                stored = write(ledger.open(), blobs.open(), context.partition_key)
            yield _result(name, stored, pages)


@asset(
    name=RELEASE,
    deps=[MANIFEST],
    partitions_def=BATCHES,
    description=texts.RELEASE,
    group_name=BATCH_GROUP,
    owners=OWNERS,
    tags=OF_BATCHES,
    kinds={"python"},
    code_version=_RELEASE_VERSION,
)
def batch_release(
    context: AssetExecutionContext, ledger: LedgerResource, pages: IntakePagesResource
) -> MaterializeResult[None]:
    """The batch handed on to later phases."""
    log = RunLog.of_batch(ledger.open(), context.partition_key, context.run.run_id)
    with log.phase(RELEASE):
        released = release(ledger.open(), context.partition_key)
    with ledger.open().read() as tx:
        facts = BatchFacts.read(tx, context.partition_key)
    return MaterializeResult(
        data_version=DataVersion(released.fingerprint),
        metadata={**pages.batch(context.partition_key), **release_metadata(facts, released)},
    )


def _result(name: str, stored: StoredResult, pages: IntakePagesResource) -> MaterializeResult[None]:
    more = manifest_rows(stored.facts) if name == MANIFEST else {}
    return MaterializeResult(
        asset_key=name,
        data_version=DataVersion(stored.sha256),
        metadata={
            **pages.batch(stored.facts.batch.batch_id),
            **batch_metadata(stored.facts),
            **more,
            "blob": MetadataValue.text(stored.blob_key),
        },
    )
