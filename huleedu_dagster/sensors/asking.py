"""What a sensor asks Dagster before it asks for runs: what is under way, what is known."""

from collections.abc import Iterable, Sequence

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from huleedu_dagster.partitions import BATCH_DIMENSION
from huleedu_dagster.sensors.tags import KIND_TAG, RunKind

_UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


def unfinished_runs(instance: DagsterInstance, kind: RunKind) -> Sequence[DagsterRun]:
    """Runs that sensors asked for and that are waiting or under way.

    Runs that were stored and not launched are left out: nobody may ever launch them.
    """
    return instance.get_runs(RunsFilter(tags={KIND_TAG: kind.value}, statuses=list(_UNFINISHED)))


def used_keys(instance: DagsterInstance, sensor: str, run_keys: Iterable[str]) -> frozenset[str]:
    """Those of these run keys that Dagster would launch no run for any more.

    Runs that were stored and not launched are left out: Dagster launches them when their key is
    asked for again.

    Args:
        instance: Where the runs are.
        sensor: Name of the sensor that asks.
        run_keys: What it is about to ask for.
    """
    wanted = sorted(set(run_keys))
    if not wanted:
        return frozenset()
    runs = instance.get_runs(RunsFilter(tags={RUN_KEY_TAG: wanted}))
    launched = [it for it in runs if it.status is not DagsterRunStatus.NOT_STARTED]
    return frozenset(
        it.tags[RUN_KEY_TAG] for it in launched if it.tags.get(SENSOR_NAME_TAG) == sensor
    )


def new_batches(instance: DagsterInstance, batch_ids: Iterable[str]) -> list[str]:
    """Those of these batches that are no partitions yet, in order."""
    wanted = sorted(set(batch_ids))
    known = instance.get_existing_dynamic_partitions(BATCH_DIMENSION, wanted)
    return [it for it in wanted if it not in known]
