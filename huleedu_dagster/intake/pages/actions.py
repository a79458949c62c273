"""What the buttons of the pages do. Each form leads back to the page of its batch."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response
from starlette.responses import RedirectResponse

from huleedu_dagster.intake.authority import acting, intake_of, services_of, visible_batch
from huleedu_dagster.intake.batches import BatchId, Closer, EssayId, Operator
from huleedu_dagster.intake.contracts import WaiveRequest
from huleedu_dagster.intake.csrf import Form, form_of
from huleedu_dagster.intake.pages.route import page_router
from huleedu_dagster.ledger.failures import UnknownDeadLetterError
from huleedu_dagster.pipeline import lifecycle, reprocessing

router = page_router()

Sent = Annotated[Form, Depends(form_of)]

_LARGEST_NUMBER = 2**31 - 1


@router.post("/batches/{batch_id}/close")
def close(request: Request, batch_id: BatchId, principal: Closer) -> Response:
    """Take no more essays."""
    ledger = services_of(request).ledger
    with ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    lifecycle.close(acting(request), batch_id)
    return _back(batch_id)


@router.post("/batches/{batch_id}/reopen")
def reopen(request: Request, batch_id: BatchId, principal: Operator) -> Response:
    """Take essays again, those that came late first."""
    ledger = services_of(request).ledger
    with ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    intake_of(request).reopen(batch_id)
    return _back(batch_id)


@router.post("/batches/{batch_id}/essays/{essay_id}/waive")
def waive(
    request: Request,
    batch_id: BatchId,
    essay_id: EssayId,
    principal: Operator,
    form: Sent,
) -> Response:
    """Go on without a missing essay or a dead letter."""
    ledger = services_of(request).ledger
    with ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    asked = WaiveRequest(reason=form.get("reason"))
    lifecycle.waive(acting(request), batch_id, essay_id, asked.reason)
    return _back(batch_id, essay_id)


@router.post("/batches/{batch_id}/essays/{essay_id}/reprocess")
def reprocess(
    request: Request, batch_id: BatchId, essay_id: EssayId, principal: Closer
) -> Response:
    """Work over again what is stored of an essay."""
    request.app.state.pressure.check()
    ledger = services_of(request).ledger
    with ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
    reprocessing.reprocess(acting(request), batch_id, [essay_id])
    return _back(batch_id, essay_id)


@router.post("/batches/{batch_id}/dead-letters/{number}/replay")
def replay(
    request: Request,
    batch_id: BatchId,
    number: Annotated[int, Path(ge=1, le=_LARGEST_NUMBER)],
    principal: Operator,
) -> Response:
    """Let a dead letter of the batch be tried again."""
    ledger = services_of(request).ledger
    with ledger.read() as tx:
        visible_batch(tx, principal, batch_id)
        if tx.failures.dead_letter(number).batch_id != batch_id:
            raise UnknownDeadLetterError(number)
    letter = lifecycle.replay(acting(request), number)
    return _back(batch_id, letter.slot)


def _back(batch_id: str, place: str = "standing") -> Response:
    return RedirectResponse(f"/batches/{batch_id}#{place}", 303)
