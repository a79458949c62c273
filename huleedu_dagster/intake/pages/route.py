"""Routes whose answers are for people: their errors are pages too."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from huleedu_dagster.intake.authority import services_of
from huleedu_dagster.intake.door import log_error
from huleedu_dagster.intake.explain import explained
from huleedu_dagster.intake.pages.rendering import problem_page


class PageRoute(APIRoute):
    """A route that tells about every error in a page."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `fastapi.routing.APIRoute.get_route_handler`."""
        handle = super().get_route_handler()

        async def handle_for_people(request: Request) -> Response:
            try:
                return await handle(request)
            except Exception as error:
                problem = explained(error, services_of(request).limits.retry_seconds)
                if problem.status_code >= 500:
                    log_error(error, request.state.correlation_id)
                return problem_page(request, problem)

        return handle_for_people


def page_router() -> APIRouter:
    """A router for pages; they are no part of the description of the API."""
    return APIRouter(route_class=PageRoute, include_in_schema=False)
