"""Signing in with a token, and out."""

import re
from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import Depends, Query, Request, Response
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse

from huleedu_dagster.domain.access import InvalidTokenError
from huleedu_dagster.intake.authority import principal_of_token, services_of
from huleedu_dagster.intake.csrf import Form, form_of
from huleedu_dagster.intake.door import SIGN_IN_PATH, needs_https
from huleedu_dagster.intake.pages.rendering import render_page
from huleedu_dagster.intake.pages.route import page_router
from huleedu_dagster.intake.problems import KINDS, ProblemError
from huleedu_dagster.intake.sessions import Session

router = page_router()

PostedForm = Annotated[Form, Depends(form_of)]

SIGN_OUT_PATH = "/sign-out"

_TEMPLATE = "sign_in.html"
_INVALID = "This token is not valid. Check that you copied all of it, or ask for a new one."
# A second slash, or a backslash for some browsers, would begin the name of another site.
_PAGE = re.compile(r"/(?!/)[!-\[\]-~]{0,2000}")


@router.get(SIGN_IN_PATH)
def sign_in_page(
    request: Request, to: Annotated[str, Query(alias="next", max_length=10_000)] = "/"
) -> Response:
    """Where a token is asked for."""
    # Followed from another site, a link comes without the cookie of a session that there may be.
    follows_a_link = "cross-site" in request.headers.getlist("Sec-Fetch-Site")
    return render_page(request, _TEMPLATE, next=own_page(to), follows_a_link=follows_a_link)


@router.post(SIGN_IN_PATH)
async def sign_in(request: Request, form: PostedForm) -> Response:
    """Begin a session for the bearer of a token, and go on to the page that was asked for."""
    services, page = services_of(request), own_page(form.get("next"))
    try:
        principal = await run_sync(principal_of_token, services.ledger, form.get("token").strip())
    except InvalidTokenError:
        return _refused(request, page)
    return _sent_on(request, page, services.sessions.begin(principal.token_id))


@router.post(SIGN_OUT_PATH)
async def sign_out(request: Request) -> Response:
    """End the session."""
    session: Session | None = request.state.session
    if session is not None:
        services_of(request).sessions.end(session)
    return _sent_on(request, SIGN_IN_PATH, None)


def own_page(text: str) -> str:
    """The page of ours that `text` names, the first one if it may lead elsewhere."""
    is_page = _PAGE.fullmatch(text) and text.partition("?")[0] not in (SIGN_IN_PATH, SIGN_OUT_PATH)
    return text if is_page else "/"


def _refused(request: Request, page: str) -> Response:
    client = request.client
    try:
        request.app.state.rates.count_failure("" if client is None else client.host)
    except ProblemError as error:
        kind = KINDS[error.code]
        message = f"{kind.title} Wait {dict(error.headers or {})['Retry-After']} seconds."
        response = render_page(request, _TEMPLATE, error.status_code, message=message, next=page)
        response.headers.update(error.headers or {})
        return response
    return render_page(request, _TEMPLATE, 401, message=_INVALID, next=page)


def _sent_on(request: Request, page: str, session: Session | None) -> Response:
    response = RedirectResponse(page, 303)
    secure = needs_https(request.scope, Headers(scope=request.scope))
    cookie = services_of(request).sessions.cookie(session, secure=secure)
    response.headers.append("Set-Cookie", cookie)
    return response
