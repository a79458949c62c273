"""What Dagster shows of a partition."""

from dagster import AssetKey, DagsterInstance


def shown_data_version(instance: DagsterInstance, key: AssetKey, partition: str) -> str | None:
    """The data version of the latest materialization of a partition, `None` if there is none."""
    record = instance.get_latest_data_version_record(key, partition_key=partition)
    event = record.asset_materialization if record else None
    return (event.tags or {}).get("dagster/data_version") if event else None
