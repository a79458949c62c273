"""What sensors log of the runs that they ask for."""

import logging
from collections.abc import Iterable

from huleedu_dagster.sensors.tags import RunKind

_LOG = logging.getLogger("huleedu_dagster.sensors")


def log_request(
    kind: RunKind, batch_id: str, run_key: str | None, corr_ids: Iterable[str], essays: int = 0
) -> None:
    """Log that a run is asked for; until it is launched, a next tick may ask for the same again.

    Args:
        kind: What it does.
        batch_id: The batch that it works on.
        run_key: Equal for equal work.
        corr_ids: What its essays, or its batch, came under: a line for each.
        essays: Number of essays it is to compute.
    """
    keys = {"batch_id": batch_id, "phase": "sensor", "status": "requested"}
    about = {"kind": kind.value, "run_key": run_key, "essays": essays or None}
    for corr_id in sorted(set(corr_ids)):
        _LOG.info("run requested", extra={"corr_id": corr_id, **keys, **about})


def log_died(
    batch_id: str, essay_id: str | None, run_id: str, how: str, corr_id: str, *, dead: bool
) -> None:
    """Log that a run died without recording it, which counts as an attempt.

    Args:
        batch_id: The batch that it worked on.
        essay_id: The essay's slot; `None` for the closing work of a batch.
        run_id: The run.
        how: How it ended.
        corr_id: What the essay, or the batch, came under.
        dead: Whether a dead letter was written.
    """
    keys = {"corr_id": corr_id, "batch_id": batch_id, "essay_id": essay_id, "run_id": run_id}
    status = "dead_lettered" if dead else "failed"
    level = logging.ERROR if dead else logging.WARNING
    _LOG.log(level, "run died", extra={**keys, "phase": "run", "status": status, "reason": how})


def log_never_began(batch_id: str, run_id: str, corr_ids: Iterable[str]) -> None:
    """Log that a run ended before it began, which counts as nothing: it is asked for again.

    Args:
        batch_id: The batch that it was to work on.
        run_id: The run.
        corr_ids: What its essays, or its batch, came under: a line for each.
    """
    keys = {"batch_id": batch_id, "run_id": run_id, "phase": "run", "status": "failed"}
    for corr_id in sorted(set(corr_ids)):
        _LOG.warning("run never began", extra={"corr_id": corr_id, **keys})
