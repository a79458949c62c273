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
_GONE = "The process that executed this run is gone."
_NOBODYS = "There is no daemon that would launch this run."


def fail_orphans(instance: "DagsterInstance", *, queued: bool = False) -> int:
    """Mark runs as failed that are under way; only for who has the home to itself.

    Runs in the queue have no process that could be gone: the next daemon launches them, under the
    code of its day.

    Args:
        instance: Where they are.
        queued: Whether those fail too that sensors asked for and that are in the queue. For who has
            no daemon: nobody would launch them, and the sensors would wait for them.

    Returns:
        Number of such runs.
    """
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

    from huleedu_dagster.sensors.tags import KIND_TAG, RunKind

    waiting = DagsterRunStatus.QUEUED
    under_way = [it for it in NOT_FINISHED_STATUSES if it is not waiting]
    orphans = [(it, _GONE) for it in instance.get_runs(RunsFilter(statuses=under_way))]
    if queued:
        kinds = {KIND_TAG: [it.value for it in RunKind]}
        found = instance.get_runs(RunsFilter(statuses=[waiting], tags=kinds))
        orphans += [(it, _NOBODYS) for it in found]
    for run, why in orphans:
        instance.report_run_failed(run, why)
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
