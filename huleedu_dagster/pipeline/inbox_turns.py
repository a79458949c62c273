"""How much one sweep of an inbox does, and which batches it looks at."""

import time
from bisect import bisect_right
from collections.abc import Collection

SWEEP_SECONDS = 20.0
"""Time after which a sweep takes in no more; Dagster gives a tick of a sensor 60 s."""
LOOK_SECONDS = 40.0
"""Time after which a sweep looks at no other batch."""


class Allowance:
    """What a sweep may still do.

    Args:
        files: Files to take in.
        seconds: Time for it, counted from now.
        look_seconds: Time to look at batches, counted from now.
    """

    def __init__(
        self, files: int, seconds: float = SWEEP_SECONDS, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self.files = files
        now = time.monotonic()
        self._until = now + seconds
        self._look_until = now + look_seconds

    @property
    def is_late(self) -> bool:
        """Whether the time to take in is over."""
        return time.monotonic() >= self._until

    @property
    def is_over(self) -> bool:
        """Whether the time to look is over."""
        return time.monotonic() >= self._look_until

    @property
    def is_spent(self) -> bool:
        """Whether nothing more may be taken in."""
        return self.files <= 0 or self.is_late


def turn(
    batch_ids: Collection[str], closed: Collection[str], closed_looks: int | None, after: str
) -> tuple[list[str], str]:
    """Which batches a sweep looks at: all that are not closed, and some of the others in turn.

    Args:
        batch_ids: What is in the inbox.
        closed: Which of them are closed.
        closed_looks: How many of these at most; `None` for all.
        after: Where the turn before ended.

    Returns:
        The batches in order, beginning after `after`; and where this turn ends.
    """
    ordered = sorted(batch_ids)
    start = bisect_right(ordered, after)
    chosen: list[str] = []
    looks, end = 0, after
    for batch_id in (*ordered[start:], *ordered[:start]):
        if batch_id in closed:
            if looks == closed_looks:
                continue
            looks, end = looks + 1, batch_id
        chosen.append(batch_id)
    return chosen, end
