"""One sensor evaluated by itself."""

from dagster import build_sensor_context
from dagster._core.definitions.partitions.context import partition_loading_context

from tests.support import world_defs
from tests.support.world import World


def evaluate(world: World, name: str) -> list[str | None]:
    """Run keys that a sensor asks for; nothing is launched and nothing is added."""
    repository = world_defs.defs().get_repository_def()
    with (
        build_sensor_context(
            instance=world.instance,
            instance_ref=world.instance.get_ref(),
            repository_def=repository,
            sensor_name=name,
            resources=world_defs.resources(),
        ) as context,
        partition_loading_context(dynamic_partitions_store=world.instance),
    ):
        data = repository.get_sensor_def(name).evaluate_tick(context)
    return [it.run_key for it in data.run_requests or []]
