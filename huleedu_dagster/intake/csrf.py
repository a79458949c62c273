"""What keeps other sites from acting through a browser that is signed in here, and forms.

A browser sends a cookie whoever asked for the request. So a request that changes something and
comes with a cookie has to come from a page of ours, and to bring its session's secret: in the
header X-CSRF-Token, or in the field `csrf_token` of a form.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from huleedu_dagster.intake.problems import ProblemCode, ProblemError
from huleedu_dagster.intake.sessions import Session

CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "csrf_token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_FORM_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 1_000
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a form that was sent, in their order."""

    fields: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        """The first value of a field, the empty text when there is none."""
        return next((value for found, value in self.fields if found == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for found, value in self.fields if found == name]


async def form_of(request: Request) -> Form:
    """A dependency: the form that was posted to a page, its secret checked at the door.

    Raises:
        ProblemError: What was posted is no form.
    """
    form: Form | None = request.state.form
    if form is None:
        raise ProblemError(ProblemCode.UNSUPPORTED_MEDIA_TYPE)
    return form


def is_form(headers: Headers) -> bool:
    """Whether the body of a request is a form without files."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() == _FORM_TYPE


async def read_form(receive: Receive) -> tuple[Form, Receive]:
    """Read the form of a request; gives it, and the body for who reads it again.

    Args:
        receive: The request, the size of its body limited.

    Raises:
        ProblemError: It is no form, or it ended too early.
    """
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise ProblemError(ProblemCode.MALFORMED_REQUEST, "The request ended too early.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise ProblemError(ProblemCode.MALFORMED_REQUEST, "The form cannot be read.") from None
    whole: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def again() -> Message:
        return whole.pop() if whole else await receive()

    return Form(tuple(fields)), again


def check_origin(headers: Headers) -> None:
    """Go on only if no other site asked for the request, as far as the browser says.

    Raises:
        ProblemError: Another one did.
    """
    # Another port of this machine is the same site and another origin.
    foreign = any(it not in _OWN_SITES for it in headers.getlist("Sec-Fetch-Site"))
    # Compared as it stands: what a browser sends has no path, and is no address to be parsed.
    host = headers.get("Host", "").lower()
    if foreign or any(it.lower().partition("://")[2] != host for it in headers.getlist("Origin")):
        raise ProblemError(ProblemCode.CSRF_FAILED, "Another site asked for this.")


def check_secret(session: Session, given: Iterable[str]) -> None:
    """Go on only if what a request brought is the secret of its session, once.

    Raises:
        ProblemError: It is missing, or another's.
    """
    found = list(given)
    if len(found) != 1 or not hmac.compare_digest(
        found[0].encode("utf-8", "surrogatepass"), session.csrf_token.encode()
    ):
        raise ProblemError(ProblemCode.CSRF_FAILED)
