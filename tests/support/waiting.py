"""Waits for what has to happen within a time, on a machine that may be busy."""

import time
from collections.abc import Callable

_STALL_SECONDS = 0.1


def wait_for(true: Callable[[], bool], seconds: float) -> None:
    """Wait; a moment in which the machine did something else counts for little."""
    waited, before = 0.0, time.monotonic()
    while not true():
        assert waited < seconds, "it did not happen in time"
        time.sleep(0.02)
        now = time.monotonic()
        waited, before = waited + min(now - before, _STALL_SECONDS), now
