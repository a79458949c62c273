"""A run of the essay job in a process of its own, as a launcher starts it; tells its memory.

Run as `python -m tests.support.essay_run FIRST LAST [keep]` with the settings of an installation in
the environment: executes the run over a range of cells and prints by how much its most memory grew
since the first essay, in bytes. With `keep` it holds on to every essay, as it must not.
"""

import sys
from pathlib import Path
from typing import Any
from unittest import mock

from dagster import DagsterRunStatus
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution.api import execute_run_iterator

from huleedu_dagster.jobs import ESSAY_JOB
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.pipeline.stages import EssayWork
from huleedu_dagster.settings import Settings
from tests.support.world import range_tags

_begin = EssayWork.__init__
_first: list[int] = []
_kept: list[EssayWork] = []


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (it for it in status if it.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def _note_first(work: EssayWork, *args: Any, **more: Any) -> None:
    _begin(work, *args, **more)
    _first.append(_peak_bytes())


def _keep(work: EssayWork, *args: Any, **more: Any) -> None:
    _note_first(work, *args, **more)
    _kept.append(work)


def main(first: str, last: str, *, keep: bool) -> None:
    """Execute the run.

    Raises:
        RuntimeError: It failed.
    """
    repository = ReconstructableRepository.for_module("benchmarks.definitions", "defs")
    job = repository.get_reconstructable_job(ESSAY_JOB)
    noted = mock.patch.object(EssayWork, "__init__", _keep if keep else _note_first)
    with noted, DagsterHome(Settings()).instance() as instance:
        run = instance.create_run_for_job(job.get_definition(), tags=range_tags(first, last))
        for _ in execute_run_iterator(job, run, instance):
            pass
        ended = instance.get_run_by_id(run.run_id)
        if ended is None or ended.status is not DagsterRunStatus.SUCCESS:
            raise RuntimeError("the run failed")
    print(_peak_bytes() - _first[0], flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], keep="keep" in sys.argv)
