"""`/metrics`, and the layer around the application that counts what it answers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huleedu_dagster.domain.access import Principal
from huleedu_dagster.domain.access import Scope as Allowed
from huleedu_dagster.intake.authority import needs
from huleedu_dagster.intake.services import Services
from huleedu_dagster.observability.metrics import (
    NO_ROUTE,
    HeartbeatUnknownError,
    InstallationCollector,
    Metrics,
    Stopwatch,
)

METRICS_PATH = "/metrics"

router = APIRouter(include_in_schema=False)

Scraper = Annotated[Principal, Depends(needs(Allowed.METRICS))]

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
GONE = "none"
"""Status of a request whose client was gone before it was answered."""


@router.get(METRICS_PATH)
def metrics(request: Request, principal: Scraper) -> Response:
    """Tell all metrics, in a format that Prometheus reads."""
    found: Metrics = request.app.state.metrics
    text, media_type = found.told(request.headers.get("Accept", ""))
    return Response(text, headers={"Content-Type": media_type})


def metrics_of(services: Services) -> Metrics:
    """The metrics of an application of this installation."""
    settings = services.settings

    def heartbeat_age() -> float:
        # It brings its libraries: not before somebody asks.
        from huleedu_dagster.orchestration import probes

        try:
            return probes.heartbeat_age(settings)
        except probes.UnhealthyError as error:
            raise HeartbeatUnknownError(str(error)) from error

    return Metrics.of(InstallationCollector(services.ledger, settings.home, heartbeat_age))


class Counting:
    """The layer outside of the door: counts every request, also those that are refused.

    A request is counted under the template of its route, never under the address that was asked
    for: that may hold names, and there is no end of addresses.

    Args:
        app: What answers.
        metrics: Where it is counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch, answered = Stopwatch(self._metrics), False

        def count(status: str) -> None:
            nonlocal answered
            if not answered:
                answered = True
                watch.stop(method_of(scope), route_of(scope), status)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                count(str(message["status"]))
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            # Gone before it was answered.
            count(GONE)


def method_of(scope: Scope) -> str:
    """The method of a request; there is no end of those that nobody knows."""
    method: str = scope["method"]
    return method if method in _METHODS else "other"


def route_of(scope: Scope) -> str:
    """The template of the route that a request was for."""
    route = scope.get("route")
    return str(getattr(route, "path", NO_ROUTE))
