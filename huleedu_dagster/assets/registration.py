"""`batch_registration`: the settings of a batch, upstream of validation and spelling.

Its data version is the hash of the settings, so a change shows exactly what is stale. The upload
sensor reports it without a run; materializing it here does the same.
"""

from dagster import (
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    DataVersion,
    MaterializeResult,
    MetadataValue,
    asset,
)

from huleedu_dagster.assets import texts
from huleedu_dagster.assets.emission import REGISTRATION
from huleedu_dagster.assets.groups import OF_BATCHES, OWNERS, REGISTRATION_GROUP
from huleedu_dagster.domain.registration import BatchSettings
from huleedu_dagster.partitions import BATCHES
from huleedu_dagster.resources.ledger import LedgerResource


@asset(
    name=REGISTRATION,
    partitions_def=BATCHES,
    description=texts.REGISTRATION,
    group_name=REGISTRATION_GROUP,
    owners=OWNERS,
    tags=OF_BATCHES,
    kinds={"python"},
    code_version="1",
)
def batch_registration(
    context: AssetExecutionContext, ledger: LedgerResource
) -> MaterializeResult[None]:
    """What a teacher decided about a batch: limits, language, word list."""
    with ledger.open().read() as tx:
        settings = tx.batches.get(context.partition_key).registration.settings
    return MaterializeResult(
        data_version=DataVersion(settings.data_version), metadata=_metadata(settings)
    )


def registration_event(batch_id: str, settings: BatchSettings) -> AssetMaterialization:
    """The materialization that the sensor reports for a batch."""
    return AssetMaterialization(
        AssetKey(REGISTRATION),
        partition=batch_id,
        metadata=_metadata(settings),
        tags={
            "dagster/data_version": settings.data_version,
            "dagster/data_version_is_user_provided": "true",
            "dagster/code_version": "1",
        },
    )


def _metadata(settings: BatchSettings) -> dict[str, MetadataValue]:
    # The words themselves may be names of persons, so only their number is shown.
    return {
        "language": MetadataValue.text(settings.language),
        "variety": MetadataValue.text(settings.variety or "any"),
        "min_words": MetadataValue.int(settings.min_words),
        "max_words": MetadataValue.int(settings.max_words),
        "word_list_size": MetadataValue.int(len(settings.word_list)),
        "apply_corrections": MetadataValue.text(settings.apply_corrections.value),
    }
