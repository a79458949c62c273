"""Errors as problem details (RFC 9457): what is wrong, its code, and what to do next.

A client may act on `code`; the sentences are for people. No answer repeats a value that was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class ProblemCode(StrEnum):
    """Why a request was refused. Stable: clients act on these words."""

    MALFORMED_REQUEST = "MALFORMED_REQUEST"
    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    NOT_ALLOWED = "NOT_ALLOWED"
    CSRF_FAILED = "CSRF_FAILED"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
    BATCH_EXISTS = "BATCH_EXISTS"
    NOT_WAIVABLE = "NOT_WAIVABLE"
    NOT_REPLAYABLE = "NOT_REPLAYABLE"
    REQUEST_IN_PROGRESS = "REQUEST_IN_PROGRESS"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    WRONG_HOST = "WRONG_HOST"
    INVALID_REQUEST = "INVALID_REQUEST"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    TOO_MANY_FAILURES = "TOO_MANY_FAILURES"
    TOO_MUCH_PENDING = "TOO_MUCH_PENDING"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    RESULT_DAMAGED = "RESULT_DAMAGED"
    UNAVAILABLE = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Kind:
    """A code in words.

    Attributes:
        title: What happened, the same for every occurrence.
        next_step: What to do about it.
    """

    status: HTTPStatus
    title: str
    next_step: str


KINDS: dict[ProblemCode, Kind] = {
    ProblemCode.MALFORMED_REQUEST: Kind(
        HTTPStatus.BAD_REQUEST,
        "The request cannot be read.",
        "Mend the request's form and send it again.",
    ),
    ProblemCode.NOT_AUTHENTICATED: Kind(
        HTTPStatus.UNAUTHORIZED,
        "The request carries no valid token.",
        "Send `Authorization: Bearer TOKEN`; an operator makes tokens.",
    ),
    ProblemCode.NOT_ALLOWED: Kind(
        HTTPStatus.FORBIDDEN,
        "The token does not allow this.",
        "Use a token with the scope that is named, or ask an operator for one.",
    ),
    ProblemCode.CSRF_FAILED: Kind(
        HTTPStatus.FORBIDDEN,
        "The request does not come from a page of this session.",
        "Load the page again and repeat what you did; programs send a token instead of a cookie.",
    ),
    ProblemCode.NOT_FOUND: Kind(
        HTTPStatus.NOT_FOUND,
        "There is nothing here.",
        "Check the address; what belongs to another token is not shown.",
    ),
    ProblemCode.METHOD_NOT_ALLOWED: Kind(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "This address does not take this method.",
        "Use a method that the header Allow names.",
    ),
    ProblemCode.REQUEST_TIMEOUT: Kind(
        HTTPStatus.REQUEST_TIMEOUT,
        "The rest of the request did not come.",
        "Send all of it again over a better connection.",
    ),
    ProblemCode.BATCH_EXISTS: Kind(
        HTTPStatus.CONFLICT,
        "A batch of this id is registered already.",
        "Choose another id, or leave it out and one is made.",
    ),
    ProblemCode.NOT_WAIVABLE: Kind(
        HTTPStatus.CONFLICT,
        "This essay cannot be waived.",
        "Look at the batch: only what is missing or a dead letter can be waived.",
    ),
    ProblemCode.NOT_REPLAYABLE: Kind(
        HTTPStatus.CONFLICT,
        "This dead letter cannot be replayed.",
        "Look at the dead letters again: it was replayed, superseded or mended meanwhile.",
    ),
    ProblemCode.REQUEST_IN_PROGRESS: Kind(
        HTTPStatus.CONFLICT,
        "The first request with this Idempotency-Key is not answered yet.",
        "Wait a few seconds and send the same request again.",
    ),
    ProblemCode.REQUEST_TOO_LARGE: Kind(
        HTTPStatus(413),
        "The request is larger than is taken.",
        "Send less in one request; files can be spread over several.",
    ),
    ProblemCode.UNSUPPORTED_MEDIA_TYPE: Kind(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The body is of a type that is not read here.",
        "Send the Content-Type that the description of this address names.",
    ),
    ProblemCode.WRONG_HOST: Kind(
        HTTPStatus.MISDIRECTED_REQUEST,
        "This server does not answer under this name.",
        "Use the address it was started with, or have an operator add the name.",
    ),
    ProblemCode.INVALID_REQUEST: Kind(
        HTTPStatus(422),
        "The request holds values that are not allowed.",
        "Change what `errors` names and send it again.",
    ),
    ProblemCode.IDEMPOTENCY_KEY_REUSED: Kind(
        HTTPStatus(422),
        "This Idempotency-Key was used for another request.",
        "Use a new key for a new request.",
    ),
    ProblemCode.TOO_MANY_REQUESTS: Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many requests are being worked on.",
        "Wait as long as the header Retry-After says and send it again.",
    ),
    ProblemCode.TOO_MANY_FAILURES: Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many tokens were tried that are not valid.",
        "Wait as long as the header Retry-After says, and ask an operator for a new token.",
    ),
    ProblemCode.TOO_MUCH_PENDING: Kind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "Too many essays wait for their results.",
        "Wait as long as the header Retry-After says and send it again.",
    ),
    ProblemCode.INTERNAL_ERROR: Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something is wrong with this server.",
        "Tell an operator the correlation id; the log says more.",
    ),
    ProblemCode.RESULT_DAMAGED: Kind(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "A stored result is missing or damaged.",
        "Tell an operator the correlation id; the result can be computed again.",
    ),
    ProblemCode.UNAVAILABLE: Kind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The ledger or the store cannot be used now; nothing is promised.",
        "Wait as long as the header Retry-After says and send all of it again.",
    ),
}

_BY_STATUS = {
    400: ProblemCode.MALFORMED_REQUEST,
    401: ProblemCode.NOT_AUTHENTICATED,
    403: ProblemCode.NOT_ALLOWED,
    404: ProblemCode.NOT_FOUND,
    405: ProblemCode.METHOD_NOT_ALLOWED,
    413: ProblemCode.REQUEST_TOO_LARGE,
    415: ProblemCode.UNSUPPORTED_MEDIA_TYPE,
    422: ProblemCode.INVALID_REQUEST,
    429: ProblemCode.TOO_MANY_REQUESTS,
    503: ProblemCode.UNAVAILABLE,
}


class FieldError(BaseModel):
    """One value that is not allowed."""

    where: str = Field(description="Place of the value in the request.", examples=["body.language"])
    message: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:huleedu:problem:not-found",
                    "title": "There is nothing here.",
                    "status": 404,
                    "detail": "There is no such batch.",
                    "code": "NOT_FOUND",
                    "next_step": "Check the address; what belongs to another token is not shown.",
                    "correlation_id": "5f0c3b1e-8f1b-4f63-9c0e-2f9b6f6f7f11",
                }
            ]
        }
    )

    type: str = Field(description="Identifies the kind of problem; made from `code`.")
    title: str = Field(description="What happened, the same for every occurrence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time.")
    code: ProblemCode = Field(description="The stable word for it.")
    next_step: str = Field(description="What to do about it.")
    correlation_id: str = Field(description="Ties the answer to the server's log.")
    errors: tuple[FieldError, ...] | None = Field(
        default=None, description="Values that are not allowed, where there are any."
    )


class ProblemError(HTTPException):
    """Ends a request with a problem.

    A `HTTPException`, so that the framework lets it pass wherever it is raised, also while the
    body is being read.

    Args:
        code: The kind of problem.
        detail: What happened this time; the kind's title if left out.
        errors: Values that are not allowed.
        headers: Headers of the answer.
    """

    def __init__(
        self,
        code: ProblemCode,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(KINDS[code].status, detail or KINDS[code].title, headers)
        self.code = code
        self.errors = errors


def as_problem(error: HTTPException) -> ProblemError:
    """The error as a problem; a plain `HTTPException` gets the code of its status."""
    if isinstance(error, ProblemError):
        return error
    code = _BY_STATUS.get(error.status_code, ProblemCode.INTERNAL_ERROR)
    return ProblemError(code, headers=error.headers)


def problem_response(error: HTTPException, correlation_id: str) -> Response:
    """The answer that tells about `error`."""
    error = as_problem(error)
    kind = KINDS[error.code]
    problem = Problem(
        type=f"urn:huleedu:problem:{error.code.lower().replace('_', '-')}",
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        code=error.code,
        next_step=kind.next_step,
        correlation_id=correlation_id,
        errors=error.errors,
    )
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=kind.status,
        headers=error.headers,
        media_type=MEDIA_TYPE,
    )
