"""Routes of batches: register, list, look at, close, waive."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from huleedu_dagster.domain.access import Principal, Scope
from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.domain.registration import BatchSettings, Registration
from huleedu_dagster.intake.authority import (
    acting,
    intake_of,
    needs,
    services_of,
    visible_batch,
    visible_batches,
)
from huleedu_dagster.intake.contracts import (
    BatchSummary,
    Registered,
    RegisterRequest,
    WaiveRequest,
)
from huleedu_dagster.intake.idempotency import KEY_HEADER, KEY_PATTERN, Keep, answer_once
from huleedu_dagster.intake.problems import FieldError, ProblemCode, ProblemError
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.pipeline import lifecycle, reprocessing
from huleedu_dagster.pipeline.essay_views import essay_view
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, EssayView, batch_view
from huleedu_dagster.spelling.accept_lists import has_variety

router = APIRouter(prefix="/v1/batches", tags=["batches"])

Reader = Annotated[Principal, Depends(needs(Scope.READ))]
Registrar = Annotated[Principal, Depends(needs(Scope.REGISTER))]
Operator = Annotated[Principal, Depends(needs(Scope.OPERATE))]
Closer = Annotated[Principal, Depends(needs(Scope.REGISTER, Scope.OPERATE))]
BatchId = Annotated[str, Path(description="Id of the batch.", examples=["class-9b"])]
EssayId = Annotated[
    str,
    Path(
        description="Slot of the essay.",
        examples=["e001"],
        json_schema_extra={"pattern": "^e0(?:0[1-9]|[1-9][0-9])$"},
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=KEY_HEADER,
        pattern=KEY_PATTERN,
        description="The same request again under the same key is done once and answered alike.",
    ),
]


@router.post("/register", status_code=201, response_model=Registered)
def register(
    request: Request, asked: RegisterRequest, principal: Registrar, key: IdempotencyKey = None
) -> Response:
    """Register a batch before its files come."""
    services = services_of(request)

    def work(keep: Keep) -> Response:
        answers: list[Response] = []

        def answer(tx: Transaction, registration: Registration) -> None:
            answers.append(_registered(registration))
            keep(tx, answers[0])

        request.app.state.pressure.check()
        settings = _settings(services, asked)
        batch_id = asked.batch_id or f"batch-{uuid.uuid4().hex[:16]}"
        if not lifecycle.register(
            acting(request),
            batch_id,
            settings=settings,
            expected_essay_count=asked.expected_essay_count,
            deadline=asked.deadline,
            timeout_seconds=asked.timeout_seconds,
            source="api",
            course=asked.course,
            class_name=asked.class_name,
            instructions=asked.instructions,
            correlation_id=request.state.correlation_id,
            owner=principal.token_id,
            and_then=answer,
        ):
            raise ProblemError(ProblemCode.BATCH_EXISTS)
        return answers[0]

    return answer_once(request, principal, key, hash_of(asked.model_dump(mode="json")), work)


@router.get("", response_model=list[BatchSummary])
def batches(
    request: Request,
    response: Response,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=200, description="Batches at most.")] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000, description="Batches to leave out.")] = 0,
) -> list[dict[str, Any]]:
    """List batches, the latest first.

    When there are more, the header Link names the next page.
    """
    with services_of(request).ledger.read() as tx:
        found = visible_batches(tx, principal, limit=limit + 1, offset=offset)
        views = [batch_view(BatchFacts.read(tx, it.batch_id), tx.now) for it in found[:limit]]
    if len(found) > limit:
        following = f"/v1/batches?limit={limit}&offset={offset + limit}"
        response.headers["Link"] = f'<{following}>; rel="next"'
    return [it.model_dump(mode="json", exclude={"essays"}) for it in views]


@router.get("/{batch_id}", response_model=BatchView)
def batch(request: Request, batch_id: BatchId, principal: Reader) -> BatchView:
    """Tell where a batch stands."""
    return _view(services_of(request), principal, batch_id)


@router.post("/{batch_id}/close", response_model=BatchView)
def close(request: Request, batch_id: BatchId, principal: Closer) -> BatchView:
    """Take no more essays for a batch; one that is closed stays as it is."""
    services = services_of(request)
    _view(services, principal, batch_id)
    lifecycle.close(acting(request), batch_id)
    return _view(services, principal, batch_id)


@router.post("/{batch_id}/reopen", response_model=BatchView)
def reopen(request: Request, batch_id: BatchId, principal: Operator) -> BatchView:
    """Let a batch take essays again; files that came late join it in order of receipt."""
    services = services_of(request)
    _view(services, principal, batch_id)
    intake_of(request).reopen(batch_id)
    return _view(services, principal, batch_id)


@router.get("/{batch_id}/essays/{essay_id}")
def essay(
    request: Request, batch_id: BatchId, essay_id: EssayId, principal: Reader
) -> dict[str, Any]:
    """Show one essay: versions, stages, text and corrections.

    Of its versions the `current` one counts; those that came `late` do not.
    """
    services = services_of(request)
    with services.ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    return essay_view(services.ledger, services.blobs, batch_id, essay_id)


@router.post("/{batch_id}/essays/{essay_id}/waive", response_model=BatchView)
def waive(
    request: Request, batch_id: BatchId, essay_id: EssayId, asked: WaiveRequest, principal: Operator
) -> BatchView:
    """Go on without a missing essay or a dead letter."""
    services = services_of(request)
    _view(services, principal, batch_id)
    lifecycle.waive(acting(request), batch_id, essay_id, asked.reason)
    return _view(services, principal, batch_id)


@router.post("/{batch_id}/essays/{essay_id}/reprocess", status_code=202, response_model=EssayView)
def reprocess(
    request: Request, batch_id: BatchId, essay_id: EssayId, principal: Closer
) -> EssayView:
    """Work over again what is stored of an essay; answers with its line as it is until then.

    Only what the current code and settings have no result for is computed; a rejection that was
    transient is tried again, a dead letter is replayed. Operators may ask for it, and the token
    that registered the batch: it could as well hand in another version.
    """
    request.app.state.pressure.check()
    services = services_of(request)
    with services.ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    reprocessing.reprocess(acting(request), batch_id, [essay_id])
    lines = _view(services, principal, batch_id).essays
    return next(it for it in lines if it.essay_id == essay_id)


def _registered(registration: Registration) -> Response:
    registered = Registered.model_validate(registration, from_attributes=True)
    return Response(
        registered.model_dump_json(),
        status_code=201,
        media_type="application/json",
        headers={"Location": f"/v1/batches/{registration.batch_id}"},
    )


def _view(services: Services, principal: Principal, batch_id: str) -> BatchView:
    with services.ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        return batch_view(BatchFacts.read(tx, batch_id), tx.now)


def _settings(services: Services, asked: RegisterRequest) -> BatchSettings:
    settings = asked.settings_over(services.settings.batch_settings)
    if settings.language not in services.languages:
        known = ", ".join(sorted(services.languages))
        _refuse("body.language", f"Spelling can be checked in {known}")
    if settings.variety and not has_variety(settings.variety):
        _refuse("body.variety", "There is no dictionary for this variety")
    if (asked.expected_essay_count or 0) > services.settings.max_slots:
        most = services.settings.max_slots
        _refuse("body.expected_essay_count", f"A batch has at most {most} essays")
    return settings


def _refuse(where: str, message: str) -> None:
    errors = (FieldError(where=where, message=f"{message}."),)
    raise ProblemError(ProblemCode.INVALID_REQUEST, errors=errors)
