"""Renders the pages that people see. Everything that comes from outside is escaped."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from starlette.exceptions import HTTPException

from huleedu_dagster.domain.access import Principal, Scope
from huleedu_dagster.intake.pages.words import WORDS
from huleedu_dagster.intake.problems import KINDS, as_problem

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC_PATH = "/static/"
"""Where style sheets and scripts are; open to everyone."""

_PACKAGE = "huleedu_dagster.intake.pages"
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
# With no-referrer a browser would send `Origin: null` with the forms of a page.
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}


def render_page(request: Request, name: str, status_code: int = 200, **values: Any) -> Response:
    """Fill the template `name` for the person who asks.

    Templates know whom the request acts as (`principal`), what that person may do (`may`), and
    what every form holds against forgery (`csrf_token`, empty without a session).

    Args:
        request: The request, behind the door.
        name: A file of the folder `templates`.
        status_code: The HTTP status.
        values: What else the template needs.

    Raises:
        jinja2.TemplateError: There is no such template, or a value is missing.
    """
    principal: Principal | None = getattr(request.state, "principal", None)
    session = getattr(request.state, "session", None)
    known = {
        "principal": principal,
        "may": _rights(principal),
        "csrf_token": "" if session is None else session.csrf_token,
        "signed_in": session is not None,
        **values,
    }
    text = _environment().get_template(name).render(known)
    return Response(text, status_code, _HEADERS, media_type="text/html; charset=utf-8")


def problem_page(request: Request, error: HTTPException) -> Response:
    """The page that tells a person about `error`: what is wrong, what to do, and its id."""
    problem = as_problem(error)
    response = render_page(
        request,
        "error.html",
        int(problem.status_code),
        problem=problem,
        kind=KINDS[problem.code],
        correlation_id=request.state.correlation_id,
    )
    response.headers.update(problem.headers or {})
    return response


def static_file(name: str) -> bytes | None:
    """The bytes of a style sheet or script, `None` if there is none of this name."""
    return _static_files().get(name)


def static_url(name: str) -> str:
    """The address of a style sheet or script, another one when its content is another.

    Raises:
        LookupError: There is none of this name.
    """
    content = static_file(name)
    if content is None:
        raise LookupError("no such static file")
    return f"{STATIC_PATH}{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


@cache
def _static_files() -> Mapping[str, bytes]:
    # All at once: remembered one by one, names that strangers think of would stay for ever.
    folder = files(_PACKAGE).joinpath("static")
    return {it.name: it.read_bytes() for it in folder.iterdir() if it.is_file()}


def _rights(principal: Principal | None) -> dict[str, bool]:
    return {it.value: principal is not None and principal.may(it) for it in Scope}


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(_PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["static_url"] = static_url
    environment.filters.update(WORDS)
    return environment
