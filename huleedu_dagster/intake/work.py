"""Kinds of requests: how many of each are worked on at once, and the threads that this takes."""

from enum import Enum, auto

from anyio.to_thread import current_default_thread_limiter

from huleedu_dagster.intake.limits import IntakeLimits


class Work(Enum):
    """Kinds of requests that take no places from each other."""

    FILES = auto()
    STREAM = auto()
    SIGN_IN = auto()
    CHECK = auto()
    OPEN = auto()
    OTHER = auto()

    def places(self, limits: IntakeLimits) -> int:
        """How many requests of this kind are worked on at the same time."""
        of_kind = {Work.STREAM: limits.max_streams, Work.CHECK: limits.max_checks}
        return of_kind.get(self, limits.max_concurrent)

    def threads(self, limits: IntakeLimits) -> int:
        """How many threads requests of this kind hold at the same time, at most."""
        # What came whole may be given its place while the next file is written.
        return self.places(limits) * (2 if self is Work.FILES else 1)


def let_all_wait(limits: IntakeLimits) -> None:
    """Allow the event loop that runs a thread for each place, also when all of them wait.

    With the 40 that it has by itself, a slow store would leave none to those who need no file.
    Threads are made when they are needed.
    """
    current_default_thread_limiter().total_tokens = sum(it.threads(limits) for it in Work)
