"""What sensors log of a sweep: counts, never names."""

import logging

from huleedu_dagster.pipeline.inbox_sweep import Sweep

_LOG = logging.getLogger("huleedu_dagster.sensors")
_STUCK: dict[str, tuple[int, int]] = {}
"""What could not be taken in when this process last looked, by inbox: told when it changes."""


def log_sweep(inbox: str, sweep: Sweep) -> None:
    """Log what was found, if anything was.

    Args:
        inbox: Which inbox it is.
        sweep: What was found in it.
    """
    keys = {"phase": "inbox", "inbox": inbox, "taken": sweep.taken, "waiting": sweep.waiting}
    if sweep.taken:
        _LOG.info("files taken in", extra={**keys, "status": "done"})
    elif sweep.waiting:
        _LOG.debug("files waiting", extra={**keys, "status": "waiting"})
    stuck = (sweep.unreadable, sweep.misnamed)
    if stuck == _STUCK.get(inbox, (0, 0)):
        return
    _STUCK[inbox] = stuck
    unreadable = {"unreadable": sweep.unreadable, "misnamed": sweep.misnamed}
    if any(stuck):
        _LOG.warning(
            "files cannot be taken in; `huleedu doctor` lists them",
            extra={**keys, **unreadable, "status": "failed"},
        )
    else:
        _LOG.info("nothing is left behind", extra={**keys, "status": "done"})


def log_trouble(inbox: str, error: OSError) -> None:
    """Log that an inbox could not be swept to the end.

    Args:
        inbox: Which inbox it is.
        error: Why.
    """
    keys = {"phase": "inbox", "inbox": inbox, "status": "failed"}
    _LOG.error("the inbox cannot be swept", extra=keys, exc_info=error)


def told(sweep: Sweep) -> str:
    """What was found in a sentence, for the page of the tick."""
    return (
        f"Files taken in: {sweep.taken}; still changing: {sweep.waiting}; "
        f"unreadable: {sweep.unreadable}; folders misnamed: {sweep.misnamed}."
    )
