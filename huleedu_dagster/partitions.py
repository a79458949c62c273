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
DAYS = DailyPartitionsDefinition(start_date=AUDIT_START.isoformat(), timezone="UTC")


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
