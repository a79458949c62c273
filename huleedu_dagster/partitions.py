"""How the assets are partitioned: by batch, by batch and essay slot, by day."""

from collections.abc import Iterable
from datetime import date

from dagster import (
    DailyPartitionsDefinition,
    DynamicPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
)

BATCH_DIMENSION = "batch"
ESSAY_DIMENSION = "essay"
AUDIT_START = date(2026, 1, 1)

BATCHES = DynamicPartitionsDefinition(name=BATCH_DIMENSION)
SLOTS = DynamicPartitionsDefinition(name=ESSAY_DIMENSION)
ESSAYS = MultiPartitionsDefinition({BATCH_DIMENSION: BATCHES, ESSAY_DIMENSION: SLOTS})
# With the day that is not over: what it has so far can be looked at, and the night writes it anew.
DAYS = DailyPartitionsDefinition(start_date=AUDIT_START.isoformat(), timezone="UTC", end_offset=1)


def day_tag(day: date) -> dict[str, str]:
    """The tag of a run over one day."""
    return {"dagster/partition": day.isoformat()}


def range_tags(batch_id: str, first: str, last: str) -> dict[str, str]:
    """The tags of a run over a range of a batch's cells, both ends included.

    Args:
        batch_id: The batch.
        first: Its first slot, in the order in which Dagster got to know the slots.
        last: Its last one.
    """
    return {
        "dagster/asset_partition_range_start": str(cell_key(batch_id, first)),
        "dagster/asset_partition_range_end": str(cell_key(batch_id, last)),
    }


def cell_key(batch_id: str, slot: str) -> MultiPartitionKey:
    """The partition key of one essay: `batch|e001`."""
    return MultiPartitionKey({BATCH_DIMENSION: batch_id, ESSAY_DIMENSION: slot})


def cells_by_batch(keys: Iterable[str]) -> dict[str, list[str]]:
    """The slots of each batch among partition keys of essays, both in order."""
    cells: dict[str, list[str]] = {}
    for key in keys:
        dimensions = ESSAYS.get_partition_key_from_str(key).keys_by_dimension
        cells.setdefault(dimensions[BATCH_DIMENSION], []).append(dimensions[ESSAY_DIMENSION])
    return {batch_id: sorted(cells[batch_id]) for batch_id in sorted(cells)}
