"""What one worker process may use, and how many there are."""

from dataclasses import dataclass

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Limits on the processes that read files; they decide only what is a transient rejection.

    Attributes:
        workers: Files that are read at the same time, at most.
        recycle_tasks: Files after which a worker is replaced by a fresh one.
        memory_bytes: Address space of a worker above what it has before its first file, bytes.
        cpu_seconds: Processor time for one file, seconds.
        wall_seconds: Time for one file as the clock on the wall tells it, seconds.
        open_files: File descriptors of a worker.
    """

    workers: int = 2
    recycle_tasks: int = 100
    memory_bytes: int = _GIB
    cpu_seconds: int = 10
    wall_seconds: float = 30.0
    open_files: int = 64
