"""Log lines about essays, with the same keys everywhere and never a text, file or person's name."""

import logging

from huleedu_dagster.ledger.records import Essay


class EssayLog:
    """Logs about one essay.

    Args:
        logger: Where the lines go.
        essay: Whose ids they carry.
        run_id: The run they are from.
    """

    def __init__(self, logger: logging.Logger, essay: Essay, *, run_id: str) -> None:
        self._logger = logger
        self._keys = {
            "corr_id": essay.upload.correlation_id,
            "batch_id": essay.upload.batch_id,
            "essay_id": essay.slot,
            "run_id": run_id,
            "phase": "essay",
        }

    def done(self, duration_ms: int) -> None:
        """Log that a pass ended.

        Args:
            duration_ms: How long it took, milliseconds.
        """
        self._write(logging.DEBUG, status="done", duration_ms=duration_ms)

    def failed(self, reason: str, *, dead: bool) -> None:
        """Log a failure of infrastructure by the name of its class.

        Args:
            reason: Name of the error's class.
            dead: Whether the essay became a dead letter.
        """
        status = "dead_lettered" if dead else "failed"
        self._write(logging.ERROR, status=status, reason=reason)

    def _write(self, level: int, **keys: object) -> None:
        found = {**self._keys, **keys}
        line = " ".join(f"{name}={value}" for name, value in found.items())
        self._logger.log(level, line, extra=found)
