"""How the assets are partitioned: by batch, by batch and essay slot, by day."""

from collections.abc import Iterable, Sequence
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


def range_tags(batch_id: str, slots: Sequence[str], order: Sequence[str]) -> dict[str, str]:
    """The tags of a run over the range that holds some cells of a batch, and those between them.

    Args:
        batch_id: The batch.
        slots: The slots, at least one.
        order: All slots that Dagster knows, in the order in which it got to know them, which need
            not be theirs: somebody may have added one on its pages.

    Raises:
        ValueError: Dagster does not know one of the slots.
    """
    first, last = min(slots, key=order.index), max(slots, key=order.index)
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
