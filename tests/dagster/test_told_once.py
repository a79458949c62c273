"""A run that goes on in another process tells Dagster what it has not told yet, and no more."""

import uuid
from collections import Counter

from dagster import AssetMaterialization, DagsterEventType, DagsterInstance, DagsterRunStatus
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.test_utils import create_run_for_test

from huleedu_dagster.assets.shown import told_by_run, untold

RUN_ID = str(uuid.uuid4())
ANOTHER = str(uuid.uuid4())


def event(partition: str, data_version: str = "1", *, asset: str = "text") -> AssetMaterialization:
    tags = {"dagster/data_version": data_version, "dagster/input_event_pointer/raw": "7"}
    return AssetMaterialization(asset, partition=partition, tags=tags, metadata={"computed": True})


def tell(instance: DagsterInstance, run_id: str, told: AssetMaterialization) -> None:
    data = StepMaterializationData(told)
    kind = DagsterEventType.ASSET_MATERIALIZATION.value
    instance.report_dagster_event(DagsterEvent(kind, "job", event_specific_data=data), run_id)


def test_what_the_run_has_told_is_left_out_and_what_is_new_is_not() -> None:
    with DagsterInstance.ephemeral() as instance:
        for run_id in (RUN_ID, ANOTHER):
            create_run_for_test(instance, run_id=run_id, status=DagsterRunStatus.STARTED)
        assert not told_by_run(instance, RUN_ID)
        tell(instance, RUN_ID, event("a|e001"))
        tell(instance, ANOTHER, event("a|e002"))
        told = told_by_run(instance, RUN_ID)
        again = [
            event("a|e001"),
            event("a|e001", asset="spelling"),
            # A newer version of the essay came in between.
            event("a|e001", "2"),
            event("a|e002"),
        ]
        found = Counter((it.asset_key.to_user_string(), it.partition) for it in untold(again, told))
        assert found == {("text", "a|e001"): 1, ("spelling", "a|e001"): 1, ("text", "a|e002"): 1}
