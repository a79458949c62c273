"""An asset of a later phase follows releases by a condition of Dagster's own, see ADR 34."""

import pytest
from dagster import (
    AssetKey,
    AssetSpec,
    AutomationCondition,
    Definitions,
    DynamicPartitionsDefinition,
    asset,
    evaluate_automation_conditions,
)

from tests.dagster.test_acceptance import essays
from tests.support.world import World

_BATCHES = DynamicPartitionsDefinition(name="batch")
_RELEASE = AssetSpec("batch_release", partitions_def=_BATCHES)


@asset(deps=[_RELEASE], partitions_def=_BATCHES, automation_condition=AutomationCondition.eager())
def marks() -> None:
    """Of another code location, which knows the release by its key and its partitions alone."""


_DEFS = Definitions([_RELEASE, marks])


@pytest.mark.filterwarnings("ignore::dagster_shared.utils.warnings.BetaWarning")
def test_an_eager_asset_is_asked_for_when_a_batch_is_released(world: World) -> None:
    world.register("b1", expected=2)
    world.hand_in("b1", essays(1))
    world.settle()
    asked = evaluate_automation_conditions(_DEFS, world.instance)
    assert asked.total_requested == 0

    world.hand_in("b1", essays(2))
    world.settle()

    asked = evaluate_automation_conditions(_DEFS, world.instance, cursor=asked.cursor)
    assert asked.get_requested_partitions(AssetKey("marks")) == {"b1"}
    asked = evaluate_automation_conditions(_DEFS, world.instance, cursor=asked.cursor)
    assert asked.total_requested == 0
