"""What `dagster.yaml` may not say of the storage on Postgres."""

import pytest

from huleedu_dagster.dagster_storage.postgres import PooledPostgresStorage


@pytest.mark.parametrize("connections", [0, 1])
def test_too_few_connections_are_refused_in_place_of_waiting_for_ever(connections: int) -> None:
    config = {"postgres_url": "postgresql://nobody@127.0.0.1:1/none", "connections": connections}
    with pytest.raises(ValueError, match="needs 2 connections"):
        PooledPostgresStorage.from_config_value(None, config)
