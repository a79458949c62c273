"""The first page: hand in the essays of a class, and the batches there are."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Query, Request, Response

from huleedu_dagster.domain.access import Principal, Scope
from huleedu_dagster.domain.outcomes import Code, explain
from huleedu_dagster.intake.authority import services_of, visible_batches
from huleedu_dagster.intake.pages.rendering import render_page
from huleedu_dagster.intake.pages.route import page_router
from huleedu_dagster.intake.pages.words import language
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.records import Batch
from huleedu_dagster.pipeline.views import BatchFacts, BatchView, batch_view

router = page_router()

PAGE_SIZE = 20
"""Batches of one page."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A batch in the list."""

    view: BatchView
    class_name: str
    course: str
    registered_at: datetime


@router.get("/")
def home(request: Request, page: Annotated[int, Query(ge=1, le=1_000_000)] = 1) -> Response:
    """Where essays are handed in, and the list of batches."""
    services = services_of(request)
    lines, more = _lines(services, request.state.principal, page)
    settings = services.settings
    return render_page(
        request,
        "home.html",
        batches=lines,
        page=page,
        more=more,
        languages=sorted(((it, language(it)) for it in services.languages), key=lambda it: it[1]),
        language=settings.language,
        max_slots=settings.max_slots,
        max_file_bytes=services.limits.max_file_bytes,
        too_large=explain(Code.TOO_LARGE).text,
    )


def _lines(services: Services, principal: Principal, page: int) -> tuple[list[BatchLine], bool]:
    if not principal.may(Scope.READ):
        return [], False
    begin = (page - 1) * PAGE_SIZE
    with services.ledger.read() as tx:
        found = visible_batches(tx, principal, limit=PAGE_SIZE + 1, offset=begin)
        return [_line(tx, it) for it in found[:PAGE_SIZE]], len(found) > PAGE_SIZE


def _line(tx: Transaction, batch: Batch) -> BatchLine:
    return BatchLine(
        view=batch_view(BatchFacts.read(tx, batch.batch_id), tx.now),
        class_name=batch.registration.class_name,
        course=batch.registration.course,
        registered_at=batch.registration.registered_at,
    )
