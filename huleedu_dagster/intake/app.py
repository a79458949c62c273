"""The application: routes behind the door, errors as problems, and its own description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from huleedu_dagster.intake.door import Door, answer_with
from huleedu_dagster.intake.explain import explained
from huleedu_dagster.intake.pressure import Pressure
from huleedu_dagster.intake.rates import Rates
from huleedu_dagster.intake.services import Services
from huleedu_dagster.intake.watching import Streams
from huleedu_dagster.intake.work import let_all_wait

_DESCRIPTION = """Register a batch, hand in its essays, watch what becomes of them.

Every answer carries X-Correlation-ID. Every error is a problem (RFC 9457) with a stable `code`."""


def build_app(services: Services) -> FastAPI:
    """The application for an installation. Nothing is started and nothing is opened.

    Args:
        services: What its routes work with.
    """
    from huleedu_dagster.intake import batches, downloads, files, operations, signing, stream
    from huleedu_dagster.intake import metrics as told
    from huleedu_dagster.intake.description import described
    from huleedu_dagster.intake.pages.routers import PAGES
    from huleedu_dagster.intake.request_log import RequestLog

    limits = services.limits

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        let_all_wait(limits)
        yield

    # The pages of the documentation would load scripts from elsewhere.
    app = FastAPI(
        title="HuleEdu intake",
        version=_version(),
        lifespan=lifespan,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.services = services
    app.state.pressure = Pressure(services.ledger, limits.max_pending, limits.retry_seconds)
    app.state.streams = Streams(services.ledger)
    app.state.rates = Rates(limits)
    app.state.metrics = told.metrics_of(services)
    app.add_middleware(Door, services=services, rates=app.state.rates)
    app.add_middleware(told.Counting, metrics=app.state.metrics)
    app.add_middleware(RequestLog)
    app.add_exception_handler(HTTPException, _tell)
    app.add_exception_handler(RequestValidationError, _tell)
    for module in (batches, files, downloads, operations, stream, signing, told):
        app.include_router(module.router)
    for router in PAGES:
        app.include_router(router)

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _tell(request: Request, error: Exception) -> Response:
    retry_seconds = request.app.state.services.limits.retry_seconds
    return answer_with(request, explained(error, retry_seconds))


def _version() -> str:
    from importlib.metadata import version

    return version("huleedu-dagster")
