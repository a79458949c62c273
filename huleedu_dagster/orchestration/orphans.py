"""Runs whose process is gone: found when a home is taken over, and marked as failed.

As a program (`python -m huleedu_dagster.orchestration.orphans`) it does this for the home that the
environment names, so that the supervisor need not hold Dagster in memory.
"""

import logging
from typing import TYPE_CHECKING

from huleedu_dagster.observability.logs import configure_service
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

_LOG = logging.getLogger("huleedu_dagster.start")


def fail_orphans(instance: "DagsterInstance") -> int:
    """Mark every unfinished run as failed; only for who has the home to itself.

    Returns:
        Number of such runs.
    """
    from dagster import RunsFilter
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    orphans = instance.get_runs(RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
    for run in orphans:
        instance.report_run_failed(run, "The process that executed this run is gone.")
    return len(orphans)


def main() -> None:
    """Prepare the home's databases and fail its orphans; says how many there were.

    Raises:
        OSError: The home cannot be written.
    """
    settings = Settings()
    configure_service(settings)
    with DagsterHome(settings).instance() as instance:
        found = fail_orphans(instance)
        level = logging.WARNING if found else logging.INFO
        _LOG.log(level, "orphaned runs", extra={"phase": "start", "failed": found})


if __name__ == "__main__":
    main()
