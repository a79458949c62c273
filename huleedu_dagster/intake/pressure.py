"""Whether there is room for more work: essays that wait, counted at most once a second."""

import threading
import time

from huleedu_dagster.intake.problems import ProblemCode, ProblemError
from huleedu_dagster.ledger.ledger import Ledger

_FRESH_SECONDS = 1.0


class Pressure:
    """Refuses new work while too much is pending.

    Args:
        ledger: Where the waiting essays are counted.
        limit: How many may wait.
        retry_seconds: What a client is asked to wait, whole seconds.
    """

    def __init__(self, ledger: Ledger, limit: int, retry_seconds: int) -> None:
        self._ledger = ledger
        self._limit = limit
        self._retry_seconds = retry_seconds
        self._lock = threading.Lock()
        self._counted_at = -_FRESH_SECONDS
        self._over = False

    def check(self) -> None:
        """Go on only if there is room.

        Raises:
            ProblemError: There is none.
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        """
        if self._is_over():
            headers = {"Retry-After": str(self._retry_seconds)}
            raise ProblemError(ProblemCode.TOO_MUCH_PENDING, headers=headers)

    def _is_over(self) -> bool:
        with self._lock:
            if time.monotonic() - self._counted_at >= _FRESH_SECONDS:
                with self._ledger.read() as tx:
                    self._over = tx.essays.count_due() >= self._limit
                self._counted_at = time.monotonic()
            return self._over
