"""What Dagster shows of a partition, and what a run has told it already."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dagster import AssetKey, AssetMaterialization, DagsterEventType, DagsterInstance


def shown_data_version(instance: DagsterInstance, key: AssetKey, partition: str) -> str | None:
    """The data version of the latest materialization of a partition, `None` if there is none."""
    record = instance.get_latest_data_version_record(key, partition_key=partition)
    event = record.asset_materialization if record else None
    return (event.tags or {}).get("dagster/data_version") if event else None


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """A materialization by all that others can depend on."""

    asset: AssetKey
    partition: str | None
    tags: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, event: AssetMaterialization) -> "ToldEvent":
        """What an event says."""
        return cls(event.asset_key, event.partition, frozenset((event.tags or {}).items()))


def told_by_run(instance: DagsterInstance, run_id: str) -> frozenset[ToldEvent]:
    """The materializations that a run has stored: none, unless its process died and it goes on."""
    kind = DagsterEventType.ASSET_MATERIALIZATION
    records = instance.get_records_for_run(run_id, of_type=kind).records
    events = (it.event_log_entry.asset_materialization for it in records)
    return frozenset(ToldEvent.of(it) for it in events if it is not None)


def untold(
    events: Iterable[AssetMaterialization], told: Collection[ToldEvent]
) -> Iterator[AssetMaterialization]:
    """The events without those that the same run has stored already."""
    for event in events:
        if ToldEvent.of(event) not in told:
            yield event
