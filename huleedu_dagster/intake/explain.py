"""Which problem an error is: the one place where errors of other layers become answers."""

from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from huleedu_dagster.domain.access import InvalidTokenError, MissingScopeError
from huleedu_dagster.domain.ids import InvalidIdError
from huleedu_dagster.intake.problems import FieldError, ProblemCode, ProblemError
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.ledger.failures import UnknownDeadLetterError
from huleedu_dagster.ledger.idempotency import ContendedKeyError
from huleedu_dagster.pipeline.essay_views import UnknownEssayError
from huleedu_dagster.pipeline.lifecycle import (
    EmptyReasonError,
    NotReplayableError,
    NotWaivableError,
)
from huleedu_dagster.storage.port import BlobStoreError

_MAX_ERRORS = 50
_LONGEST_PLACE = 100
_OWN_MESSAGE = "Value error, "
_UNKNOWN = {
    UnknownBatchError: "There is no such batch.",
    UnknownEssayError: "The batch has no essay in this slot.",
    UnknownDeadLetterError: "There is no such dead letter.",
}


def explained(error: Exception, retry_seconds: int) -> HTTPException:
    """The problem that `error` is; what nobody foresaw is `INTERNAL_ERROR` without details.

    Args:
        error: What was raised.
        retry_seconds: What an answer about an outage asks the client to wait, whole seconds.
    """
    if isinstance(error, HTTPException):
        return error
    for find in (_access, _input, _state):
        found = find(error)
        if found is not None:
            return found
    if isinstance(error, OSError | OperationalError | InterfaceError | PoolTimeoutError):
        headers = {"Retry-After": str(retry_seconds)}
        return ProblemError(ProblemCode.UNAVAILABLE, headers=headers)
    if isinstance(error, BlobStoreError):
        return ProblemError(ProblemCode.RESULT_DAMAGED)
    return ProblemError(ProblemCode.INTERNAL_ERROR)


def _access(error: Exception) -> ProblemError | None:
    if isinstance(error, InvalidTokenError):
        headers = {"WWW-Authenticate": 'Bearer realm="huleedu"'}
        return ProblemError(ProblemCode.NOT_AUTHENTICATED, headers=headers)
    if isinstance(error, MissingScopeError):
        challenge = f'Bearer realm="huleedu", error="insufficient_scope", scope="{error.scope}"'
        return ProblemError(
            ProblemCode.NOT_ALLOWED,
            f"This needs the scope {error.scope}.",
            headers={"WWW-Authenticate": challenge},
        )
    return None


def _input(error: Exception) -> ProblemError | None:
    if isinstance(error, RequestValidationError):
        return ProblemError(ProblemCode.INVALID_REQUEST, errors=_fields(error.errors()))
    if isinstance(error, ValidationError):
        found = [{**it, "loc": ("body", *it["loc"])} for it in error.errors()]
        return ProblemError(ProblemCode.INVALID_REQUEST, errors=_fields(found))
    if isinstance(error, InvalidIdError | EmptyReasonError):
        return ProblemError(ProblemCode.INVALID_REQUEST, _sentence(error))
    if isinstance(error, ClientDisconnect):
        return ProblemError(ProblemCode.MALFORMED_REQUEST, "The request ended too early.")
    return None


def _state(error: Exception) -> ProblemError | None:
    for kind, sentence in _UNKNOWN.items():
        if isinstance(error, kind):
            return ProblemError(ProblemCode.NOT_FOUND, sentence)
    if isinstance(error, NotWaivableError):
        return ProblemError(ProblemCode.NOT_WAIVABLE, _sentence(error))
    if isinstance(error, NotReplayableError):
        return ProblemError(ProblemCode.NOT_REPLAYABLE, _sentence(error))
    if isinstance(error, ContendedKeyError):
        return ProblemError(ProblemCode.REQUEST_IN_PROGRESS, headers={"Retry-After": "1"})
    return None


def _fields(errors: Sequence[Any]) -> tuple[FieldError, ...]:
    # Place and message alone: what was sent may be a name or a text.
    return tuple(
        FieldError(
            where=".".join(str(part) for part in it["loc"])[:_LONGEST_PLACE],
            message=_sentence(it["msg"].removeprefix(_OWN_MESSAGE)),
        )
        for it in errors[:_MAX_ERRORS]
    )


def _sentence(error: Exception | str) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
