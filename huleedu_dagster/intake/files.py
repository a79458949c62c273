"""The route that takes files in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any

from anyio import CancelScope
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request, Response
from starlette.requests import ClientDisconnect

from huleedu_dagster.domain.access import Principal, Scope
from huleedu_dagster.domain.ids import is_batch_id
from huleedu_dagster.intake.authority import intake_of, needs, sees, services_of
from huleedu_dagster.intake.batches import IdempotencyKey
from huleedu_dagster.intake.contracts import FilesTaken, FileStatus
from huleedu_dagster.intake.door import CORRELATION_HEADER, FILES_PATH
from huleedu_dagster.intake.idempotency import Keep, answer_once
from huleedu_dagster.intake.multipart import (
    BadMultipartError,
    MultipartEvent,
    MultipartLimits,
    MultipartTooLargeError,
    boundary_of,
    read_multipart,
)
from huleedu_dagster.intake.problems import ProblemCode, ProblemError
from huleedu_dagster.intake.receiving import (
    BATCH_FIELD,
    FILES_FIELD,
    FormReader,
    IntakeTarget,
    SpoolTarget,
    spool_folder,
)
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.pipeline.intake import Submission

router = APIRouter(tags=["files"])

_SETTLE_SECONDS = 0.1

Uploader = Annotated[Principal, Depends(needs(Scope.UPLOAD))]

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [BATCH_FIELD, FILES_FIELD],
                    "properties": {
                        BATCH_FIELD: {
                            "type": "string",
                            "description": "Id of the batch; comes before the first file.",
                            "examples": ["class-9b"],
                        },
                        FILES_FIELD: {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "Essays; a file's name is its path in the batch.",
                        },
                    },
                }
            }
        },
    }
}


class _Handover:
    """One request with files; its methods block, where they do not say otherwise."""

    def __init__(self, request: Request, principal: Principal, key: str | None) -> None:
        self._request = request
        self._principal = principal
        self._key = key
        self._submission: Submission | None = None
        self._files: IntakeTarget | None = None
        self._spool: SpoolTarget | None = None

    def target(self, batch_id: str) -> IntakeTarget | SpoolTarget:
        """Where the files of the form go.

        Raises:
            UnknownBatchError: There is no such batch for this token.
        """
        services = services_of(self._request)
        # Without a header, the events of the files carry the id of their batch.
        correlation_id = self._request.headers.get(CORRELATION_HEADER)
        known = None if correlation_id is None else correlation_id.lower()
        if not is_batch_id(batch_id):
            raise UnknownBatchError(batch_id)
        submission = intake_of(self._request).submission(batch_id, correlation_id=known)
        if not sees(self._principal, submission.batch):
            raise UnknownBatchError(batch_id)
        # What the files carry is what the answer and the log tell.
        self._request.state.correlation_id = submission.correlation_id
        self._submission = submission
        self._files = IntakeTarget(submission)
        if self._key is None:
            return self._files
        self._spool = SpoolTarget(spool_folder(services.settings.home))
        return self._spool

    def answer(self) -> Response:
        """Finish the request, or repeat what was answered to it before."""
        assert self._submission is not None
        batch_id = self._submission.batch.batch_id
        request_hash = "" if self._spool is None else self._spool.request_hash(batch_id)
        return answer_once(self._request, self._principal, self._key, request_hash, self._work)

    def is_due(self) -> bool:
        """Whether what came whole has waited long enough for its place; does not block."""
        return self._submission is not None and self._submission.waits_longer_than(_SETTLE_SECONDS)

    def settle(self) -> None:
        """Give what came whole its place."""
        if self._submission is not None:
            self._submission.settle()

    def break_off(self) -> None:
        """Record the end of a request that ended too early; what came whole stays."""
        if self._submission is not None:
            self._submission.finish()

    def close(self) -> None:
        """Keep what came whole, and delete what was set aside."""
        try:
            self.settle()
        finally:
            if self._spool is not None:
                self._spool.close()

    def _work(self, _keep: Keep) -> Response:
        assert self._submission is not None
        if self._key is not None:
            # Not before: what was answered once is answered alike, however much waits.
            self._request.app.state.pressure.check()
        assert self._files is not None
        if self._spool is not None:
            try:
                self._spool.pour(self._files)
            finally:
                self._files.abandon()
        results = self._files.finish()
        refused = any(it.status is FileStatus.REFUSED for it in results)
        taken = FilesTaken(batch_id=self._submission.batch.batch_id, files=tuple(results))
        return Response(
            taken.model_dump_json(),
            status_code=207 if refused else 201,
            media_type="application/json",
        )


@router.post(
    FILES_PATH,
    status_code=201,
    response_model=FilesTaken,
    responses={207: {"model": FilesTaken, "description": "Some files were refused, others kept."}},
    openapi_extra=_FORM,
)
async def files(request: Request, principal: Uploader, key: IdempotencyKey = None) -> Response:
    """Hand in files of a batch; answers with what became of each.

    A receipt (`upload_id`) is given when the file's bytes and its place are durable. The answer is
    201 when no file was refused and 207 when some were.
    """
    boundary = _boundary(request)
    if key is None:
        await run_sync(request.app.state.pressure.check)
    handover = _Handover(request, principal, key)
    body = read_multipart(request.stream(), boundary, _limits(services_of(request)))
    try:
        try:
            await _read(handover, body)
        except (BadMultipartError, ClientDisconnect, ProblemError) as error:
            await run_sync(handover.break_off)
            raise _told(error) from None
        return await run_sync(handover.answer)
    finally:
        with CancelScope(shield=True):
            await run_sync(handover.close)


async def _read(handover: _Handover, body: AsyncIterator[MultipartEvent]) -> None:
    # A slow sender's first file must not wait for its last one: the batch may close meanwhile.
    watch = asyncio.create_task(_settle_now_and_then(handover))
    try:
        await FormReader(handover.target).read(body)
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


async def _settle_now_and_then(handover: _Handover) -> None:
    while True:
        await asyncio.sleep(_SETTLE_SECONDS)
        if handover.is_due():
            # What waits goes on waiting; the end of the request tells whether it can be kept.
            with suppress(Exception):
                await run_sync(handover.settle)


def _boundary(request: Request) -> bytes:
    try:
        return boundary_of(request.headers.get("Content-Type", ""))
    except BadMultipartError as error:
        raise ProblemError(ProblemCode.UNSUPPORTED_MEDIA_TYPE, _sentence(error)) from None


def _limits(services: Services) -> MultipartLimits:
    limits = services.limits
    return MultipartLimits(
        request_bytes=limits.max_request_bytes,
        file_bytes=limits.max_file_bytes,
        files=limits.max_files,
    )


def _told(error: Exception) -> Exception:
    if isinstance(error, MultipartTooLargeError):
        return ProblemError(ProblemCode.REQUEST_TOO_LARGE, _sentence(error))
    if isinstance(error, BadMultipartError):
        return ProblemError(ProblemCode.MALFORMED_REQUEST, _sentence(error))
    return error


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
