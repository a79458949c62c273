"""The extractor as a Dagster resource."""

from functools import cache

from dagster import ConfigurableResource

from huleedu_dagster.extraction.port import Extractor
from huleedu_dagster.extraction.sandbox import SandboxedExtractor
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits

_STANDARD = SandboxLimits()


class ExtractorResource(ConfigurableResource[Extractor]):
    """Gives the extractor that reads in worker processes; see `SandboxLimits` for the fields.

    Attributes:
        workers: Files that are read at the same time, at most.
        recycle_tasks: Files after which a worker is replaced.
        memory_bytes: Memory of a worker for one file, bytes.
        cpu_seconds: Processor time for one file, whole seconds.
        wall_seconds: Time for one file in all, seconds.
        open_files: File descriptors of a worker.
    """

    workers: int = _STANDARD.workers
    recycle_tasks: int = _STANDARD.recycle_tasks
    memory_bytes: int = _STANDARD.memory_bytes
    cpu_seconds: int = _STANDARD.cpu_seconds
    wall_seconds: float = _STANDARD.wall_seconds
    open_files: int = _STANDARD.open_files

    def open(self) -> Extractor:
        """The extractor, one for all runs of a process; its workers start with the first file."""
        return _open(
            SandboxLimits(
                workers=self.workers,
                recycle_tasks=self.recycle_tasks,
                memory_bytes=self.memory_bytes,
                cpu_seconds=self.cpu_seconds,
                wall_seconds=self.wall_seconds,
                open_files=self.open_files,
            )
        )


@cache
def _open(sandbox: SandboxLimits) -> Extractor:
    return SandboxedExtractor(sandbox=sandbox)
