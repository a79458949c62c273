"""The door of the application: what holds for every request before a route is looked for.

Closed unless said otherwise: whatever `is_open` does not name needs a valid token or a session of
a browser, also addresses that do not exist; and what a session changes needs its secret too.

Nobody holds a place for ever: bodies have to come, and answers to be read. One token has half of
the places at most. There is a thread for each place, so requests that wait for the store do not
keep others from the threads that these need.
"""

import logging
import math
import uuid
from collections.abc import Mapping, MutableMapping
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huleedu_dagster.domain.access import InvalidTokenError, Principal
from huleedu_dagster.intake.authority import principal_of, principal_of_id
from huleedu_dagster.intake.csrf import (
    CSRF_FIELD,
    CSRF_HEADER,
    SAFE_METHODS,
    check_origin,
    check_secret,
    is_form,
    read_form,
)
from huleedu_dagster.intake.explain import explained
from huleedu_dagster.intake.hosts import LOOPBACK_NAMES, without_port
from huleedu_dagster.intake.pages.rendering import STATIC_PATH, problem_page
from huleedu_dagster.intake.problems import ProblemCode, ProblemError, problem_response
from huleedu_dagster.intake.rates import Places, Rates
from huleedu_dagster.intake.services import Services
from huleedu_dagster.intake.sessions import Session
from huleedu_dagster.intake.work import Work
from huleedu_dagster.observability.logs import bound

READY_PATH = "/readyz"
OPEN_PATHS = frozenset({"/healthz", READY_PATH, "/openapi.json"})
"""What is told to everyone."""

SIGN_IN_PATH = "/sign-in"
FILES_PATH = "/v1/files/batch"
CORRELATION_HEADER = "X-Correlation-ID"

_ICON_PATH = "/favicon.ico"
_API_PREFIX = "/v1/"
_STREAM_SUFFIX = "/stream"
_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CLOSE = {"Connection": "close"}
_MOST_SIGN_IN_BYTES = 10_000
_LOG = logging.getLogger(__name__)


def is_open(method: str, path: str) -> bool:
    """Whether a request is answered whoever asks."""
    if path in OPEN_PATHS or path == SIGN_IN_PATH:
        return True
    return method in SAFE_METHODS and (path == _ICON_PATH or path.startswith(STATIC_PATH))


class Door:
    """The outermost layer: ids, checks, limits, and the last word on errors.

    Behind it, `request.state` has `principal` (`None` at open addresses), `session` (`None` for
    bearers of a token) and `form` (`None` unless a form was posted to a page).

    Args:
        app: What is behind the door.
        services: What the checks work with.
        rates: Counts who asks how often.
    """

    def __init__(self, app: ASGIApp, services: Services, rates: Rates) -> None:
        self._app = app
        self._services = services
        self._rates = rates
        self._places = Places()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id = _correlation_id(headers)
        state = scope.setdefault("state", {})
        state["correlation_id"] = correlation_id or str(uuid.uuid4())
        state.update(principal=None, session=None, form=None)
        answer = _Answer(send, state, self._services.limits.idle_seconds)
        with bound(corr_id=state["correlation_id"]):
            try:
                if correlation_id is None:
                    raise ProblemError(
                        ProblemCode.INVALID_REQUEST,
                        f"The header {CORRELATION_HEADER} is not a UUID.",
                    )
                self._check_host(headers)
                if scope["path"] == READY_PATH:
                    checks = Work.CHECK.places(self._services.limits)
                    with self._places.one(Work.CHECK, checks):
                        await self._app(scope, receive, answer.send)
                elif scope["path"] in OPEN_PATHS:
                    await self._app(scope, receive, answer.send)
                else:
                    await self._admit(scope, headers, receive, answer, state)
            except ClientDisconnect:
                # Gone, or does not read: the server breaks the connection off.
                return
            except Exception as error:
                await answer.fail(error, scope, receive, self._services.limits.retry_seconds)

    async def _admit(
        self,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        answer: "_Answer",
        state: MutableMapping[str, Any],
    ) -> None:
        work = _work(scope["method"], scope["path"])
        most = work.places(self._services.limits)
        if work is Work.SIGN_IN:
            # Before its place: who is slow to send a form takes nobody's.
            limited = self._limited(receive, headers, work)
            checked = await self._checked(scope, headers, limited, state)
            with self._places.one(work, most):
                await self._app(scope, checked, answer.send)
            return
        with self._places.one(work, most), ExitStack() as stack:
            if work is not Work.OPEN:
                try:
                    await self._recognise(scope, headers, answer, state)
                except InvalidTokenError:
                    if "Authorization" in headers or not _is_for_people(scope, headers):
                        raise
                    redirect = RedirectResponse(_sign_in_first(scope), 303)
                    await redirect(scope, receive, answer.send)
                    return
                token_id = state["principal"].token_id
                stack.enter_context(self._places.one((work, token_id), _share(most)))
            limited = self._limited(receive, headers, work)
            checked = await self._checked(scope, headers, limited, state)
            await self._app(scope, checked, answer.send)

    async def _recognise(
        self,
        scope: Scope,
        headers: Headers,
        answer: "_Answer",
        state: MutableMapping[str, Any],
    ) -> None:
        try:
            principal, session, is_new = await anyio.to_thread.run_sync(
                self._visitor, scope, headers
            )
        except InvalidTokenError:
            if "Authorization" in headers:
                self._rates.count_failure((scope.get("client") or ("", 0))[0])
            raise
        self._rates.count_request(principal.token_id)
        state.update(principal=principal, session=session)
        if is_new:
            secure = needs_https(scope, headers)
            answer.cookie = self._services.sessions.cookie(session, secure=secure)

    def _visitor(self, scope: Scope, headers: Headers) -> tuple[Principal, Session | None, bool]:
        """Whom a request acts as, its session, and whether that begins with it."""
        services = self._services
        if "Authorization" in headers:
            return principal_of(services.ledger, headers.getlist("Authorization")), None, False
        session, local = services.sessions.find(headers), services.local
        if session is not None and session.is_local:
            # Browsers send cookies to every port of this machine, also to ports of other users.
            session = session if local is not None and local.admits(scope, headers) else None
        if session is not None:
            with suppress(InvalidTokenError):
                return principal_of_id(services.ledger, session.token_id), session, False
        if local is None or not _is_for_people(scope, headers) or not local.admits(scope, headers):
            raise InvalidTokenError
        principal = principal_of_id(services.ledger, local.token_id)
        return principal, services.sessions.begin_local(local.token_id), True

    def _check_host(self, headers: Headers) -> None:
        # A page elsewhere can let its own name resolve to this machine (DNS rebinding); the
        # browser then sends that name.
        names = [without_port(it) for it in headers.getlist("Host")]
        if len(names) != 1 or names[0] not in LOOPBACK_NAMES | self._services.limits.hosts:
            raise ProblemError(ProblemCode.WRONG_HOST)

    async def _checked(
        self, scope: Scope, headers: Headers, receive: Receive, state: MutableMapping[str, Any]
    ) -> Receive:
        """Go on only if no other site is behind a request; gives what is left of its body."""
        session: Session | None = state["session"]
        if scope["method"] in SAFE_METHODS:
            return receive
        if session is not None or scope["path"] == SIGN_IN_PATH:
            check_origin(headers)
        given = headers.getlist(CSRF_HEADER)
        if is_form(headers) and not _is_of_api(scope):
            state["form"], receive = await read_form(receive)
            given = given or state["form"].all(CSRF_FIELD)
        if session is not None:
            check_secret(session, given)
        return receive

    def _limited(self, receive: Receive, headers: Headers, work: Work) -> Receive:
        limits = self._services.limits
        of_work = {Work.FILES: limits.max_request_bytes, Work.SIGN_IN: _MOST_SIGN_IN_BYTES}
        largest = of_work.get(work, limits.max_json_bytes)
        declared = headers.get("Content-Length", "0")
        if not declared.isdigit() or int(declared) > largest:
            raise _too_large(largest)
        received, more = 0, True
        until = anyio.current_time() + limits.idle_seconds

        async def limited() -> Message:
            nonlocal received, more, until
            if work is Work.FILES:
                # Honest uploads may take hours, as long as they go on.
                until = anyio.current_time() + limits.idle_seconds
            # After its body, a request is listened to only for its end, which may take long.
            with anyio.CancelScope(deadline=until if more else math.inf) as waiting:
                message = await receive()
            if waiting.cancelled_caught:
                raise ProblemError(ProblemCode.REQUEST_TIMEOUT, headers=_CLOSE)
            received += len(message.get("body", b""))
            more = message.get("more_body", False)
            if received > largest:
                raise _too_large(largest)
            return message

        return limited


class _Answer:
    """The one answer of a request, whoever gives it."""

    def __init__(self, send: Send, state: Mapping[str, Any], send_seconds: float) -> None:
        self._send = send
        self._send_seconds = send_seconds
        self._state = state
        self._begun = False
        self.cookie = ""

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers every answer has."""
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            headers[CORRELATION_HEADER] = self._state["correlation_id"]
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
            if self.cookie:
                headers.append("Set-Cookie", self.cookie)
        with anyio.move_on_after(self._send_seconds) as sending:
            await self._send(message)
        if sending.cancelled_caught:
            raise ClientDisconnect

    async def fail(
        self, error: Exception, scope: Scope, receive: Receive, retry_seconds: int
    ) -> None:
        """Tell about an error, unless the answer has begun; then the connection is broken off."""
        problem = explained(error, retry_seconds)
        if problem.status_code >= 500:
            log_error(error, self._state["correlation_id"])
        if self._begun:
            raise error
        await answer_with(Request(scope), problem)(scope, receive, self.send)


def answer_with(request: Request, problem: HTTPException) -> Response:
    """The answer that tells about a problem: a page where a person sees it, else the problem."""
    # What is this server's own fault may be that it can show no pages.
    if problem.status_code != 500 and _is_page(request.scope, request.headers):
        return problem_page(request, problem)
    return problem_response(problem, request.state.correlation_id)


def needs_https(scope: Scope, headers: Headers) -> bool:
    """Whether a session's cookie may go over HTTPS only: everywhere but on this machine."""
    return scope["scheme"] == "https" or without_port(headers["Host"]) not in LOOPBACK_NAMES


def _work(method: str, path: str) -> Work:
    if path == FILES_PATH:
        return Work.FILES
    if path == SIGN_IN_PATH:
        return Work.SIGN_IN
    if is_open(method, path):
        return Work.OPEN
    return Work.STREAM if path.endswith(_STREAM_SUFFIX) else Work.OTHER


def _share(most: int) -> int:
    """How many places one token may have, so that it keeps no other out."""
    return (most + 1) // 2


def _is_of_api(scope: Scope) -> bool:
    return bool(scope["path"].startswith(_API_PREFIX))


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a browser shows the answer to a person."""
    return not _is_of_api(scope) and "text/html" in headers.get("Accept", "")


def _is_for_people(scope: Scope, headers: Headers) -> bool:
    """Whether a page is asked for, and nothing else."""
    return scope["method"] in ("GET", "HEAD") and _is_page(scope, headers)


def _sign_in_first(scope: Scope) -> str:
    query = scope["query_string"].decode("latin-1")
    page = quote(scope["path"]) + (f"?{query}" if query else "")
    return f"{SIGN_IN_PATH}?next={quote(page, safe='')}"


def log_error(error: Exception, correlation_id: str) -> None:
    """Note an error that is this server's own fault, with its places and without its message."""
    keys = {"corr_id": correlation_id, "phase": "request", "status": "failed"}
    _LOG.error("request failed", exc_info=error, extra=keys)


def _correlation_id(headers: Headers) -> str | None:
    """The id that was sent or a new one; `None` when what was sent is no UUID."""
    given = headers.getlist(CORRELATION_HEADER)
    if not given:
        return str(uuid.uuid4())
    try:
        found = str(uuid.UUID(given[0]))
    except ValueError:
        return None
    # Other spellings, with braces or without hyphens, are not what a log is searched for.
    return found if len(given) == 1 and given[0].lower() == found else None


def _too_large(largest: int) -> HTTPException:
    detail = f"A request to this address has at most {largest} bytes."
    return ProblemError(ProblemCode.REQUEST_TOO_LARGE, detail, headers=_CLOSE)
