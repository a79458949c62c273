"""The daemon's own sensor and backfill code over this process: no server, no threads.

`huleedu run` and the tests use it, so both go through the same ticks, run keys, cursors and runs as
a deployment with a daemon. Runs are executed here, one after the other.
"""

import logging
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from huleedu_dagster.orchestration.locations import LOCATION, MODULE
from huleedu_dagster.orchestration.orphans import fail_orphans

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster_shared.error import SerializableErrorInfo


_MASKED = "DagsterRedactedUserCodeError"


class TickFailedError(Exception):
    """Definitions could not be loaded, or a sensor or backfill not evaluated.

    The message names the class of the error, if Dagster was not asked to keep quiet about it; the
    log has it in any case.
    """

    @classmethod
    def of(cls, what: str, error: "SerializableErrorInfo") -> "TickFailedError":
        """What could not be done, and why."""
        is_told = error.cls_name not in {None, _MASKED}
        found = cls(f"{what}: {error.cls_name}" if is_told else what)
        found.add_note(error.to_string())
        return found


class InProcessDaemon:
    """Ticks sensors and executes what they ask for.

    Args:
        instance: An instance whose launcher executes runs in this process.
        module: Module of the definitions.
        attribute: Their name in it.
    """

    def __init__(
        self, instance: "DagsterInstance", *, module: str = MODULE, attribute: str = "defs"
    ) -> None:
        self.instance = instance
        self._module = module
        self._attribute = attribute
        self._stack = ExitStack()
        self._logger = logging.getLogger("huleedu_dagster.daemon")
        self._logger.setLevel(logging.ERROR)

    def __enter__(self) -> "InProcessDaemon":
        """Load the definitions.

        Raises:
            TickFailedError: They cannot be loaded.
        """
        from dagster._core.remote_origin import InProcessCodeLocationOrigin
        from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
        from dagster._core.workspace.context import WorkspaceProcessContext
        from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

        origin = InProcessCodeLocationOrigin(
            LoadableTargetOrigin(
                executable_path=sys.executable,
                module_name=self._module,
                attribute=self._attribute,
                working_directory=str(Path.cwd()),
            ),
            location_name=LOCATION,
        )
        self.workspace: Any = self._stack.enter_context(
            WorkspaceProcessContext(self.instance, InProcessWorkspaceLoadTarget(origin))
        )
        entries = self.workspace.create_request_context().get_code_location_entries()
        errors = [it.load_error for it in entries.values() if it.load_error is not None]
        if errors:
            self._stack.close()
            raise TickFailedError.of("the definitions cannot be loaded", errors[0])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the definitions."""
        self._stack.close()

    def tick(self) -> None:
        """Evaluate every running sensor once and execute the runs they ask for.

        Raises:
            TickFailedError: A sensor could not be evaluated.
        """
        from dagster._daemon.sensor import execute_sensor_iteration

        self._make_due()
        results = execute_sensor_iteration(self.workspace, self._logger, None, None)
        errors = [it for it in results if it is not None]
        if errors:
            raise TickFailedError.of("a sensor failed", errors[0])

    def run_backfills(self) -> None:
        """Advance every backfill that was asked for until none is left.

        Raises:
            TickFailedError: A backfill could not be advanced.
        """
        from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
        from dagster._daemon.backfill import execute_backfill_iteration

        open_states = [
            BulkActionStatus.REQUESTED,
            BulkActionStatus.CANCELING,
            BulkActionStatus.FAILING,
        ]
        while self.instance.get_backfills(filters=BulkActionsFilter(statuses=open_states)):
            results = execute_backfill_iteration(self.workspace, self._logger)
            errors = [it for it in results if it is not None]
            if errors:
                raise TickFailedError.of("a backfill failed", errors[0])

    def launch(self, job: str, tags: Mapping[str, str]) -> bool:
        """Execute a job, as a person launches it from Dagster's pages.

        Args:
            job: Its name.
            tags: Of the run; which partitions it is about.

        Returns:
            Whether the run succeeded.
        """
        context = self.workspace.create_request_context()
        location = context.get_code_location(LOCATION)
        (repository,) = location.get_repositories().values()
        found = repository.get_full_job(job)
        plan = location.get_execution_plan(
            found, {}, step_keys_to_execute=None, known_state=None, instance=self.instance
        )
        run = self.instance.create_run(
            job_name=job,
            run_id=None,
            run_config={},
            status=None,
            tags={**found.run_tags, **tags},
            root_run_id=None,
            parent_run_id=None,
            step_keys_to_execute=None,
            execution_plan_snapshot=plan.execution_plan_snapshot,
            job_snapshot=found.job_snapshot,
            parent_job_snapshot=found.parent_job_snapshot,
            asset_selection=None,
            asset_check_selection=None,
            resolved_op_selection=None,
            op_selection=None,
            remote_job_origin=found.get_remote_origin(),
            job_code_origin=found.get_python_origin(),
            asset_graph=repository.asset_graph,
        )
        self.instance.submit_run(run.run_id, context)
        ended = self.instance.get_run_by_id(run.run_id)
        return ended is not None and ended.is_success

    def run_count(self) -> int:
        """Number of runs there ever were."""
        return self.instance.get_runs_count()

    def failed_run_count(self) -> int:
        """Number of runs that failed."""
        from dagster import DagsterRunStatus, RunsFilter

        return self.instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.FAILURE]))

    def fail_orphans(self) -> int:
        """Mark runs as failed that nobody executes or will; only for who has the home to itself.

        Returns:
            Number of such runs.
        """
        return fail_orphans(self.instance, queued=True)

    def _make_due(self) -> None:
        """Let every sensor tick now, whatever its interval."""
        from dagster._core.definitions.run_request import InstigatorType
        from dagster._core.scheduler.instigation import SensorInstigatorData

        for state in self.instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            data = state.instigator_data
            if isinstance(data, SensorInstigatorData):
                due = SensorInstigatorData(
                    last_tick_timestamp=None,
                    last_tick_start_timestamp=None,
                    last_run_key=data.last_run_key,
                    min_interval=data.min_interval,
                    cursor=data.cursor,
                    sensor_type=data.sensor_type,
                    last_sensor_start_timestamp=data.last_sensor_start_timestamp,
                )
                self.instance.update_instigator_state(state.with_data(due))
