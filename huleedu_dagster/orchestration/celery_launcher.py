"""Hands runs to Celery workers, and notices when the process that executes one is gone.

Stock `CeleryRunLauncher` leaves a run whose worker was killed as started for ever and cannot
resume it (docs/adr/0024-signs-of-life.md). `tests/unit/orchestration/test_celery_guard.py` names
what this relies on in dagster-celery and in Dagster.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import DagsterRun, DagsterRunStatus, Field, IntSource, StringSource
from dagster._core.launcher import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    WorkerStatus,
)
from dagster._grpc.types import ExecuteRunArgs, ResumeRunArgs
from dagster._serdes import ConfigurableClassData, pack_value
from dagster_celery.config import TASK_EXECUTE_JOB_NAME, TASK_RESUME_JOB_NAME
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from huleedu_dagster.orchestration.celery_app import app_args
from huleedu_dagster.orchestration.celery_signs import BrokerAwayError, Doing, Signs, as_broker_away
from huleedu_dagster.orchestration.launching import (
    QUEUE,
    START_TIMEOUT_SECONDS,
    check_broker,
)
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster._config import UserConfigSchema

SILENT_SECONDS = 5
RESUMED_AT_TAG = "huleedu/resumed_at"
"""When a run was given away once more, in seconds since 1970 by the daemon's clock."""
_ASK_AGAIN_SECONDS = 1.0
_RESUMED = "-resumed-"
_KILL, _INTERRUPT = "SIGKILL", "SIGTERM"


class CrashSafeCeleryRunLauncher(CeleryRunLauncher):
    """Launches runs as Celery tasks and watches the processes that execute them.

    Args:
        default_queue: Queue of the runs.
        silent_seconds: Silence of a process, in seconds, after which it is asked for once more;
            after as many seconds again it counts as gone.
        inst_data: How `dagster.yaml` names this class.

    Raises:
        ValueError: The settings name no broker.
    """

    def __init__(
        self,
        default_queue: str = QUEUE,
        silent_seconds: int = SILENT_SECONDS,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        settings = Settings()
        check_broker(settings)
        self._broker_url = settings.broker_url
        self._silent_seconds = silent_seconds
        self._signs = Signs(self._broker_url)
        super().__init__(default_queue, inst_data=inst_data)

    def app_args(self) -> dict[str, Any]:
        """What the Celery application is made from: the same as the workers'."""
        return app_args(self._broker_url, self.default_queue)

    @classmethod
    def config_type(cls) -> "UserConfigSchema":
        """The configuration in `dagster.yaml`; the broker is a setting of the installation."""
        return {
            "default_queue": Field(StringSource, is_required=False, default_value=QUEUE),
            "silent_seconds": Field(IntSource, is_required=False, default_value=SILENT_SECONDS),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> "CrashSafeCeleryRunLauncher":
        """Make the launcher that `dagster.yaml` describes."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Hand a run to the workers.

        Raises:
            BrokerAwayError: The broker does not take it; the run stays in Dagster's queue.
        """
        run_id = context.dagster_run.run_id
        options = {"execute_job_args_packed": pack_value(_arguments(ExecuteRunArgs, context))}
        self._hand_over(context.dagster_run, TASK_EXECUTE_JOB_NAME, options, run_id)

    def resume_run(self, context: ResumeRunContext) -> None:
        """Hand a run whose process is gone to the workers once more.

        Raises:
            BrokerAwayError: The broker does not take it.
        """
        run = context.dagster_run
        options = {"resume_job_args_packed": pack_value(_arguments(ResumeRunArgs, context))}
        with as_broker_away():
            # It may only have been out of reach; two processes at one run would be waste.
            self._signal(run, _KILL)
        task_id = f"{run.run_id}{_RESUMED}{context.resume_attempt_number}"
        former = _task_id(run)
        self._instance.add_run_tags(run.run_id, {RESUMED_AT_TAG: f"{time.time():.0f}"})
        try:
            self._hand_over(run, TASK_RESUME_JOB_NAME, options, task_id)
        except BrokerAwayError:
            # No worker will ever speak of the new task; of the former it is known what became.
            self._instance.add_run_tags(run.run_id, {DAGSTER_CELERY_TASK_ID_TAG: former})
            raise

    def terminate(self, run_id: str) -> bool:
        """Interrupt the process of a run; a run that nobody executes is canceled at once.

        Returns:
            Whether there was anything to end.

        Raises:
            BrokerAwayError: The broker does not answer; nothing was changed.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        is_executed = self._is_executed(run)
        if run.status != DagsterRunStatus.CANCELING:
            # First: a process that is interrupted looks here whether somebody asked for it.
            self._instance.report_run_canceling(run)
        with as_broker_away():
            self._signal(run, _INTERRUPT)
        if not is_executed:
            self._instance.report_run_canceled(run)
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the process of a started run is there.

        A run that was resumed and that no worker has begun yet counts as running: it waits, as
        long as another may wait to be begun.

        Raises:
            BrokerAwayError: The broker does not answer. Dagster shows it as an error of the daemon
                and leaves the run alone, which any other answer than "running" would not.
        """
        task_id = _task_id(run)
        sign = self._signs.last(task_id)
        if sign is None and _RESUMED in task_id and not _waits_too_long(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, "waits for a worker")
        if sign is not None and sign.doing is Doing.ENDED:
            return CheckRunHealthResult(
                WorkerStatus.FAILED, "its process let go of the run before the run had ended"
            )
        if self._is_executed(run):
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=task_id)
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"no sign of life for more than {self._silent_seconds} seconds"
        )

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """The task of a run and its last sign of life, for the message of a failed run."""
        try:
            sign = self._signs.last(_task_id(run))
        except BrokerAwayError as error:
            return str(error)
        said = "none" if sign is None else f"{sign.doing}, {sign.age:.0f} s ago"
        return f"Celery task {_task_id(run)}; last sign of life: {said}"

    def dispose(self) -> None:
        """Close the connections to the broker."""
        self._signs.close()
        self.celery.close()
        super().dispose()

    def _hand_over(
        self, run: DagsterRun, name: str, options: Mapping[str, Any], task_id: str
    ) -> None:
        # Before it is sent: a daemon that dies in between leaves no run that cannot be watched.
        self._instance.add_run_tags(run.run_id, {DAGSTER_CELERY_TASK_ID_TAG: task_id})
        signature = self.celery.signature(name, kwargs=dict(options), task_id=task_id)
        with as_broker_away():
            self._launch_celery_task_run(run, signature, name)

    def _is_executed(self, run: DagsterRun) -> bool:
        """Whether a process gives signs of life about a run; asked again while there are none.

        A broker that was away has old signs or none at first, whatever its workers do.
        """
        until = time.monotonic() + self._silent_seconds
        while True:
            sign = self._signs.last(_task_id(run))
            if sign is not None and sign.doing is Doing.ENDED:
                return False
            if sign is not None and sign.age < self._silent_seconds:
                return True
            # Nobody has begun what nobody ever spoke of, if Dagster does not say otherwise.
            has_begun = sign is not None or run.status == DagsterRunStatus.STARTED
            if not has_begun or time.monotonic() > until:
                return False
            time.sleep(_ASK_AGAIN_SECONDS)

    def _signal(self, run: DagsterRun, name: str) -> None:
        self.celery.control.revoke(_task_id(run), terminate=True, signal=name)


def _arguments(
    kind: "type[ExecuteRunArgs | ResumeRunArgs]", context: LaunchRunContext | ResumeRunContext
) -> ExecuteRunArgs | ResumeRunArgs:
    origin = context.job_code_origin
    assert origin is not None, "only runs of a code location are launched"
    # Without the instance, whose configuration may hold a password: a worker has its own.
    return kind(
        job_origin=origin,
        run_id=context.dagster_run.run_id,
        instance_ref=None,
        set_exit_code_on_failure=True,
    )


def _waits_too_long(run: DagsterRun) -> bool:
    # Who resumed it may have died before it was sent.
    since = run.tags.get(RESUMED_AT_TAG)
    return since is not None and time.time() - float(since) > START_TIMEOUT_SECONDS


def _task_id(run: DagsterRun) -> str:
    return run.tags.get(DAGSTER_CELERY_TASK_ID_TAG, run.run_id)
