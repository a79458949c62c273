"""The page of a batch, and the part of it that changes while the batch is worked on."""

from typing import Any
from urllib.parse import quote

from fastapi import Request, Response

from huleedu_dagster.domain.access import Scope
from huleedu_dagster.domain.ids import MAX_SLOTS
from huleedu_dagster.domain.outcomes import Code, Stage, explain
from huleedu_dagster.intake.authority import services_of, visible_batch
from huleedu_dagster.intake.batches import BatchId, Reader
from huleedu_dagster.intake.pages.rendering import render_page
from huleedu_dagster.intake.pages.route import page_router
from huleedu_dagster.intake.pages.standing import Standing

router = page_router()


@router.get("/batches/{batch_id}")
def batch(request: Request, batch_id: BatchId, principal: Reader) -> Response:
    """Where a batch stands, and what can be done about it."""
    limits = services_of(request).limits
    return render_page(
        request,
        "batch.html",
        **_values(request, batch_id),
        max_file_bytes=limits.max_file_bytes,
        too_large=explain(Code.TOO_LARGE).text,
    )


@router.get("/batches/{batch_id}/live")
def live(request: Request, batch_id: BatchId, principal: Reader) -> Response:
    """The changing part of the page alone."""
    return render_page(request, "live.html", **_values(request, batch_id))


def lineage_url(request: Request, stage: Stage, batch_id: str, slot: str = "") -> str:
    """Where Dagster shows a stage of an essay, or how it comes about; empty for whom it is not.

    Args:
        request: The request of the person who is to follow the address.
        stage: The asset.
        batch_id: The batch.
        slot: The essay; without it, the lineage of the asset.
    """
    base = services_of(request).settings.dagster_url.rstrip("/")
    if not base or not request.state.principal.may(Scope.OPERATE):
        return ""
    if not slot:
        return f"{base}/assets/{stage}?view=lineage&lineageScope=neighbors&lineageDepth=5"
    return f"{base}/assets/{stage}?view=partitions&partition={quote(f'{batch_id}|{slot}', safe='')}"


def _values(request: Request, batch_id: str) -> dict[str, Any]:
    services = services_of(request)
    with services.ledger.read() as tx:
        visible_batch(tx, request.state.principal, batch_id)
        standing = Standing.read(tx, batch_id)
    return {
        "it": standing,
        "batch_id": batch_id,
        "registration": standing.batch.registration,
        "most": MAX_SLOTS,
        "lineage": lineage_url(request, Stage.SPELLCHECK_RESULT, batch_id),
    }
