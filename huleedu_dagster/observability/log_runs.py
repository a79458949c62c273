"""The lines of a run about itself and about what it does for a whole batch."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.observability.logs import shown

_LOG = logging.getLogger("huleedu_dagster.runs")


class RunLog:
    """Logs about one run.

    Args:
        run_id: The run.
        corr_id: What its batch came under, or the one request that it is about, if it is one.
        batch_id: Its batch, if it has one.
    """

    def __init__(
        self, run_id: str, *, corr_id: str | None = None, batch_id: str | None = None
    ) -> None:
        self._keys = {"corr_id": corr_id, "batch_id": batch_id, "run_id": run_id}
        self._started = time.perf_counter()

    @classmethod
    def of_batch(cls, ledger: Ledger, batch_id: str, run_id: str) -> "RunLog":
        """Logs about a run that works on one batch."""
        corr_id = None
        # Whatever it is, the work itself will say it.
        with suppress(Exception), ledger.read() as tx:
            corr_id = tx.batches.get(batch_id).registration.correlation_id
        return cls(run_id, corr_id=corr_id, batch_id=batch_id)

    def ended(self, *, essays: int, failed: int) -> None:
        """Log that the work on essays is over.

        Args:
            essays: Essays that it was about.
            failed: Those of them that failed for reasons of infrastructure.
        """
        keys = {"phase": "run", "status": "failed" if failed else "done", "essays": essays}
        more = {"failed": failed or None, "duration_ms": self._duration_ms(self._started)}
        _LOG.info("run ended", extra={**self._keys, **keys, **more})

    @contextmanager
    def phase(self, phase: str, **more: Any) -> Iterator[None]:
        """Log how something went that is done inside the block; a failure on the run's page, too.

        Args:
            phase: What is done: the name of its asset.
            more: Further keys.
        """
        keys, started = {**self._keys, "phase": phase, **more}, time.perf_counter()
        try:
            yield
        except Exception as error:
            message = f"{phase} failed: {type(error).__name__}"
            shown("runs").error(message, extra={**keys, "status": "failed", "error": error})
            raise
        duration_ms = self._duration_ms(started)
        _LOG.info("result stored", extra={**keys, "status": "done", "duration_ms": duration_ms})

    @staticmethod
    def _duration_ms(started: float) -> int:
        return round((time.perf_counter() - started) * 1000)
