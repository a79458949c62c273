"""How often and how much at once may be asked, in memory that does not grow with who asks."""

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING

from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.intake.problems import ProblemCode, ProblemError

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.storage import MemoryStorage
    from limits.strategies import SlidingWindowCounterRateLimiter

_BUCKETS = 4_096
_IPV6_NETWORK_BITS = 64


class Places:
    """How many requests are worked on at the same time, of each kind that somebody names.

    All of it happens in the event loop of the server, so nothing here needs a lock.
    """

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    @contextmanager
    def one(self, kind: Hashable, most: int) -> Iterator[None]:
        """Hold a place until the block ends.

        Args:
            kind: Takes no places from other kinds.
            most: How many there are.

        Raises:
            ProblemError: All are taken.
        """
        if self._taken[kind] >= most:
            raise ProblemError(ProblemCode.TOO_MANY_REQUESTS, headers={"Retry-After": "1"})
        self._taken[kind] += 1
        try:
            yield
        finally:
            self._taken[kind] -= 1
            if not self._taken[kind]:
                del self._taken[kind]


class Rates:
    """Counts requests, each process for itself.

    Tokens are known to the ledger, so there are only so many. Addresses are not: they share a
    fixed number of counters, chosen by a hash that nobody outside can foresee.

    Args:
        limits: How often.
    """

    def __init__(self, limits: IntakeLimits) -> None:
        self._limits = limits

    def count_request(self, token_id: str) -> None:
        """Count a request with a valid token.

        Raises:
            ProblemError: There were too many in the last minute.
        """
        self._hit(self._per_token, token_id, ProblemCode.TOO_MANY_REQUESTS)

    def count_failure(self, address: str) -> None:
        """Count a request with a token that is not valid.

        Only such requests are refused: no address can be locked out by another that shares it.

        Raises:
            ProblemError: There were too many in the last minute.
        """
        bucket = str(hash(_network(address)) % _BUCKETS)
        self._hit(self._per_address, bucket, ProblemCode.TOO_MANY_FAILURES)

    @property
    def counters(self) -> int:
        """How many counters there are now."""
        return len(self._memory.storage)

    def _hit(self, item: "RateLimitItem", key: str, code: ProblemCode) -> None:
        if self._limiter.hit(item, key):
            return
        ends_at = self._limiter.get_window_stats(item, key).reset_time
        # At that very moment the limit is still reached.
        wait = max(1, math.floor(ends_at - time.time()) + 1)
        raise ProblemError(code, headers={"Retry-After": str(wait)})

    @cached_property
    def _memory(self) -> "MemoryStorage":
        from limits.storage import MemoryStorage

        return MemoryStorage()

    @cached_property
    def _limiter(self) -> "SlidingWindowCounterRateLimiter":
        # Two numbers for a key, where the other strategy keeps the moment of every request.
        from limits.strategies import SlidingWindowCounterRateLimiter

        return SlidingWindowCounterRateLimiter(self._memory)

    @cached_property
    def _per_token(self) -> "RateLimitItem":
        from limits import RateLimitItemPerMinute

        return RateLimitItemPerMinute(self._limits.requests_per_minute, namespace="token")

    @cached_property
    def _per_address(self) -> "RateLimitItem":
        from limits import RateLimitItemPerMinute

        return RateLimitItemPerMinute(self._limits.failures_per_minute, namespace="address")


def _network(address: str) -> str:
    """An address, or the network of an IPv6 one: one customer has that many addresses."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        return str(int(found) >> (128 - _IPV6_NETWORK_BITS))
    return str(found)
