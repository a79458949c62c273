"""Dagster on a Postgres server whose zone is not UTC (that of the tests is New York's)."""

from datetime import UTC, datetime
from pathlib import Path

from dagster._core.test_utils import create_run_for_test

from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings
from tests.support.postgres import postgres_database


def test_a_new_run_is_new_whatever_the_zone_of_the_server(tmp_path: Path) -> None:
    with postgres_database(migrated=False) as url:
        home = DagsterHome(Settings(home=tmp_path, dagster_database_url=url))
        home.prepare()
        home.make_tables()
        with home.instance() as instance:
            run = create_run_for_test(instance)
            record = instance.get_run_record_by_id(run.run_id)
            assert record is not None
            age = datetime.now(UTC) - record.create_timestamp
            assert abs(age.total_seconds()) < 60
