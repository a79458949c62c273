"""A week of batches with faults, made from a seed, and a tally of what was done in it.

Each batch lives its own life: a generator that does something and says how long it waits. All are
interleaved on one clock. What is done goes through the doors that everybody uses; what is tallied
is told by the generator's own small model of the rules, never by the ledger.
"""

import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta

from huleedu_dagster.domain.actions import Actor
from tests.support.week_class import FAULTS, Class, Life
from tests.support.week_tally import Tally
from tests.support.workshop import Workshop

__all__ = ["DAYS", "FAULTS", "MONDAY", "Tally", "Week"]

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 7
_HOUR = 3_600.0


class Week:
    """The week.

    Args:
        shop: Where it happens.
        seed: Equal seeds make equal weeks.
        batches: How many.
        token: Id of an API token that some batches are registered with.
    """

    def __init__(self, shop: Workshop, *, seed: int, batches: int, token: str) -> None:
        self.shop = shop
        self.random = random.Random(seed)
        self.tallies: defaultdict[date, Tally] = defaultdict(Tally)
        self.teacher = Actor.token(token)
        self._batches = batches
        self._begun = 0
        self._queue: list[tuple[datetime, int, Life]] = []

    @property
    def days(self) -> list[date]:
        """The days of the week."""
        return [(MONDAY + timedelta(days=it)).date() for it in range(DAYS)]

    @property
    def today(self) -> Tally:
        """The tally of the day that it is."""
        return self.tallies[self.shop.clock.now.date()]

    def whole(self) -> Tally:
        """The tallies of all days together."""
        found = Tally()
        for it in self.tallies.values():
            found.counts.update(it.counts)
            found.acts.update(it.acts)
            found.completion += it.completion
            found.since_last_file += it.since_last_file
            found.waited += it.waited
        return found

    def live(self, at_midnight: Callable[[date], None] = lambda _day: None) -> None:
        """Let it happen.

        Args:
            at_midnight: Is told of each day when it is over.
        """
        for number in range(self._batches):
            begins = MONDAY + timedelta(seconds=self.random.uniform(0, 5 * 24 * _HOUR))
            self.begin(begins, Class(self, f"class-{number:02d}", self._faults(number)).live())
        end = MONDAY + timedelta(days=DAYS)
        day = MONDAY.date()
        while self._queue and self._queue[0][0] < end:
            moment, _, life = heapq.heappop(self._queue)
            while day < moment.date():
                at_midnight(day)
                day += timedelta(days=1)
            self.shop.clock.now = moment
            with suppress(StopIteration):
                self.begin(moment + timedelta(seconds=next(life)), life)
        self.shop.clock.now = end
        while day < end.date():
            at_midnight(day)
            day += timedelta(days=1)

    def begin(self, moment: datetime, life: Life) -> None:
        """Let a life go on at a moment."""
        self._begun += 1
        heapq.heappush(self._queue, (moment, self._begun, life))

    def _faults(self, number: int) -> frozenset[str]:
        # One of each in turn, so that none is left to chance, and some more by chance.
        more = {it for it in FAULTS if self.random.random() < 0.15}
        return frozenset({FAULTS[number % len(FAULTS)], *more})
