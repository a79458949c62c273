"""The door of the application: what holds for every request before a route is looked for.

Closed unless said otherwise: whatever is not in `OPEN_PATHS` needs a valid token, also addresses
that do not exist.
"""

import logging
import traceback
import uuid
from collections.abc import MutableMapping
from typing import Any

import anyio
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from huleedu_dagster.intake.authority import principal_of
from huleedu_dagster.intake.explain import explained
from huleedu_dagster.intake.problems import ProblemCode, ProblemError, problem_response
from huleedu_dagster.intake.services import Services

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
"""What is told to everyone."""

FILES_PATH = "/v1/files/batch"
CORRELATION_HEADER = "X-Correlation-ID"
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

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
_LOGGER = logging.getLogger("huleedu.intake")


class Door:
    """The outermost layer: ids, checks, limits, and the last word on errors.

    Args:
        app: What is behind the door.
        services: What the checks work with.
    """

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._services = services
        self._busy = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id = _correlation_id(headers)
        state = scope.setdefault("state", {})
        state["correlation_id"] = correlation_id or str(uuid.uuid4())
        answer = _Answer(send, state["correlation_id"])
        try:
            if correlation_id is None:
                raise ProblemError(
                    ProblemCode.INVALID_REQUEST, f"The header {CORRELATION_HEADER} is not a UUID."
                )
            self._check_host(headers)
            await self._admit(scope, headers, receive, answer.send, state)
        except Exception as error:
            await answer.fail(error, scope, receive, self._services.limits.retry_seconds)

    async def _admit(
        self,
        scope: Scope,
        headers: Headers,
        receive: Receive,
        send: Send,
        state: MutableMapping[str, Any],
    ) -> None:
        if scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        has_files = scope["path"] == FILES_PATH
        if self._busy[has_files] >= self._services.limits.max_concurrent:
            raise ProblemError(ProblemCode.TOO_MANY_REQUESTS, headers={"Retry-After": "1"})
        self._busy[has_files] += 1
        try:
            state["principal"] = await anyio.to_thread.run_sync(
                principal_of, self._services.ledger, headers.getlist("Authorization")
            )
            await self._app(scope, self._limited(receive, headers, has_files=has_files), send)
        finally:
            self._busy[has_files] -= 1

    def _check_host(self, headers: Headers) -> None:
        # A page elsewhere can let its own name resolve to this machine (DNS rebinding); the
        # browser then sends that name.
        names = [_without_port(it) for it in headers.getlist("Host")]
        if len(names) != 1 or names[0] not in LOOPBACK_NAMES | self._services.limits.hosts:
            raise ProblemError(ProblemCode.WRONG_HOST)

    def _limited(self, receive: Receive, headers: Headers, *, has_files: bool) -> Receive:
        limits = self._services.limits
        largest = limits.max_request_bytes if has_files else limits.max_json_bytes
        declared = headers.get("Content-Length", "0")
        if not declared.isdigit() or int(declared) > largest:
            raise _too_large(largest)
        received, more = 0, True

        async def limited() -> Message:
            nonlocal received, more
            # After its body, a request is listened to only for its end, which may take long.
            with anyio.move_on_after(limits.idle_seconds if more else None) as waiting:
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

    def __init__(self, send: Send, correlation_id: str) -> None:
        self._send = send
        self._correlation_id = correlation_id
        self._begun = False

    async def send(self, message: Message) -> None:
        """Pass a message on, with the headers every answer has."""
        if message["type"] == "http.response.start":
            self._begun = True
            headers = MutableHeaders(scope=message)
            headers[CORRELATION_HEADER] = self._correlation_id
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def fail(
        self, error: Exception, scope: Scope, receive: Receive, retry_seconds: int
    ) -> None:
        """Tell about an error, unless the answer has begun; then the connection is broken off."""
        problem = explained(error, retry_seconds)
        if problem.status_code >= 500:
            _log(error, self._correlation_id)
        if self._begun:
            raise error
        await problem_response(problem, self._correlation_id)(scope, receive, self.send)


def _log(error: Exception, correlation_id: str) -> None:
    # The places and not the message, which may hold a name or a text.
    places = "".join(traceback.format_tb(error.__traceback__))
    name = type(error).__name__
    _LOGGER.error("corr_id=%s phase=intake reason=%s\n%s", correlation_id, name, places)


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


def _without_port(host: str) -> str:
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host.strip().lower()


def _too_large(largest: int) -> HTTPException:
    detail = f"A request to this address has at most {largest} bytes."
    return ProblemError(ProblemCode.REQUEST_TOO_LARGE, detail, headers=_CLOSE)
