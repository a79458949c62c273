"""The same thing done in several threads that begin together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def at_once(times: int, act: Callable[[], Result]) -> list[Result]:
    """What `act` gives in so many threads; raises what the first of them raises."""
    gate = threading.Barrier(times)

    def run() -> Result:
        gate.wait(60)
        return act()

    with ThreadPoolExecutor(times) as threads:
        return [it.result(60) for it in [threads.submit(run) for _ in range(times)]]
