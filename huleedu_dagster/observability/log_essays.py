"""The lines of a run about its essays: one for each essay, and one for each stage for who asks."""

import logging

from huleedu_dagster.domain.outcomes import Stage, StageOutcome
from huleedu_dagster.ledger.metrics import essay_outcome
from huleedu_dagster.ledger.records import Essay
from huleedu_dagster.observability.logs import shown
from huleedu_dagster.pipeline.essays import EssayResult

_LOG = logging.getLogger("huleedu_dagster.essays")


class EssayLog:
    """Logs about one essay.

    Args:
        essay: Whose ids the lines carry.
        run_id: The run they are from.
    """

    def __init__(self, essay: Essay, *, run_id: str) -> None:
        self._keys = {
            "corr_id": essay.upload.correlation_id,
            "batch_id": essay.upload.batch_id,
            "essay_id": essay.slot,
            "run_id": run_id,
        }

    def done(self, result: EssayResult) -> None:
        """Log what a pass made of the essay.

        A line for each essay that was worked on. Those of its stages, and of essays of which all
        was done before, are for who asks: a backfill would write them by the thousand.

        Args:
            result: What the pass gave.
        """
        level = logging.INFO if result.computed else logging.DEBUG
        if not _LOG.isEnabledFor(level):
            return
        if _LOG.isEnabledFor(logging.DEBUG):
            self._stages(result)
        outcome = essay_outcome(result.records)
        codes = [it.code for it in result.records.values() if it.code is not None]
        self._write(
            level,
            "essay done",
            phase="essay",
            status=None if outcome is None else outcome.value,
            code=codes[0] if outcome is StageOutcome.REJECTED and codes else None,
            computed=len(result.computed),
            duration_ms=result.duration_ms,
        )

    def failed(self, error: BaseException, *, dead: bool) -> None:
        """Log a failure of infrastructure, on the page of the run too.

        Args:
            error: What happened; its class and its places are told.
            dead: Whether the essay became a dead letter.
        """
        status = "dead_lettered" if dead else "failed"
        words = f"essay {self._keys['essay_id']} of {self._keys['batch_id']} {status}"
        message = f"{words.replace('_', '-')}: {type(error).__name__}"
        keys = {**self._keys, "phase": "essay", "status": status}
        shown("essays").error(message, extra={**keys, "error": error})

    def unchecked(self, check: str, error: BaseException) -> None:
        """Log that a check has no verdict, on the page of the run too.

        Args:
            check: Its name.
            error: Why it has none; its class and its places are told.
        """
        about = f"{check} of essay {self._keys['essay_id']} of {self._keys['batch_id']}"
        keys = {**self._keys, "phase": check, "status": "failed", "error": error}
        shown("essays").error(f"{about} failed: {type(error).__name__}", extra=keys)

    def _stages(self, result: EssayResult) -> None:
        for stage in Stage:
            record = result.records.get(stage)
            if record is None or stage not in result.computed:
                continue
            self._write(
                logging.DEBUG,
                "stage done",
                phase=stage.value,
                status=record.outcome.value,
                code=record.code,
                duration_ms=record.duration_ms,
            )

    def _write(self, level: int, event: str, **keys: object) -> None:
        _LOG.log(level, event, extra={**self._keys, **keys})
