"""The page of an essay: its text with the misspellings marked, or why there is none."""

from datetime import datetime
from typing import Any

from fastapi import Request, Response

from huleedu_dagster.domain.outcomes import Code, EssayOutcome, Stage, explain
from huleedu_dagster.intake.authority import services_of, visible_batch
from huleedu_dagster.intake.batches import BatchId, EssayId, Reader
from huleedu_dagster.intake.pages.batch import lineage_url
from huleedu_dagster.intake.pages.rendering import render_page
from huleedu_dagster.intake.pages.route import page_router
from huleedu_dagster.pipeline.essay_views import essay_view
from huleedu_dagster.pipeline.marked import OtherTextError, Piece, pieces

router = page_router()

_COMMONEST = 12
"""Misspelled words that are listed beside the text, at most."""


@router.get("/batches/{batch_id}/essays/{essay_id}")
def essay(request: Request, batch_id: BatchId, essay_id: EssayId, principal: Reader) -> Response:
    """One essay with its results."""
    services = services_of(request)
    with services.ledger.read() as tx:
        registration = visible_batch(tx, principal, batch_id).registration
        slots = [it.slot for it in tx.essays.of_batch(batch_id)]
    view = essay_view(services.ledger, services.blobs, batch_id, essay_id)
    code = None if view["code"] is None else Code(view["code"])
    shown, is_current = _pieces(view)
    return render_page(
        request,
        "essay.html",
        batch_id=batch_id,
        registration=registration,
        essay=view,
        outcome=EssayOutcome(view["outcome"]),
        code=code,
        explanation=None if code is None else explain(code),
        pieces=shown,
        is_current=is_current,
        versions=[_version(it) for it in view["versions"]],
        commonest=view["misspelled_words"][:_COMMONEST],
        before=_neighbour(slots, essay_id, -1),
        after=_neighbour(slots, essay_id, 1),
        stages=[
            {**it, "lineage": lineage_url(request, Stage(it["stage"]), batch_id, essay_id)}
            for it in view["stages"]
        ],
    )


def _pieces(view: dict[str, Any]) -> tuple[list[Piece], bool]:
    """The text cut at its misspellings, and whether they are those of this text.

    When a file is read again by other code, its spelling follows a moment later.
    """
    text = view["text"] or ""
    try:
        return pieces(text, view["corrections"]), True
    except OtherTextError:
        return [Piece(text)], False


def _version(version: dict[str, Any]) -> dict[str, Any]:
    return {**version, "received_at": datetime.fromisoformat(version["received_at"])}


def _neighbour(slots: list[str], slot: str, step: int) -> str | None:
    if slot not in slots:
        return None
    place = slots.index(slot) + step
    return slots[place] if 0 <= place < len(slots) else None
