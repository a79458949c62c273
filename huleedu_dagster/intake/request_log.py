"""The layer around the application that writes a line for each request."""

import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huleedu_dagster.domain.ids import InvalidIdError, check_batch_id, check_slot
from huleedu_dagster.intake.metrics import GONE, METRICS_PATH, method_of, route_of

_LOG = logging.getLogger("huleedu_dagster.intake.requests")
_CHECKS = frozenset({"/healthz", "/readyz", METRICS_PATH})
"""Asked for by programs all day long."""
_BEGUN = "http.response.start"
_REFUSED = 400


class RequestLog:
    """The outermost layer: a line for each request, also those that are refused.

    An address may hold names of any kind; the line has the template of its route, and of what the
    address names a batch and an essay that were found.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, told = time.perf_counter(), False

        def tell(status: str) -> None:
            nonlocal told
            if not told:
                told = True
                _tell(scope, status, round((time.perf_counter() - started) * 1000))

        async def telling(message: Message) -> None:
            if message["type"] == _BEGUN:
                tell(str(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, telling)
        finally:
            # Gone before it was answered.
            tell(GONE)


def _tell(scope: Scope, status: str, duration_ms: int) -> None:
    route = route_of(scope)
    level = logging.DEBUG if route in _CHECKS else logging.INFO
    if not _LOG.isEnabledFor(level):
        return
    keys = {
        "corr_id": scope.get("state", {}).get("correlation_id"),
        "phase": "request",
        "method": method_of(scope),
        "route": route,
        "status": status,
        "duration_ms": duration_ms,
    }
    found = status.isdigit() and int(status) < _REFUSED
    _LOG.log(level, "request", extra={**keys, **(_subjects(scope) if found else {})})


def _subjects(scope: Scope) -> dict[str, Any]:
    """The batch and the essay that an address names, if they can be such."""
    named = scope.get("path_params", {})
    keys = {"batch_id": check_batch_id, "essay_id": check_slot}
    found = {}
    for name, check in keys.items():
        try:
            found[name] = check(str(named[name]))
        except (KeyError, InvalidIdError):
            continue
    return found
