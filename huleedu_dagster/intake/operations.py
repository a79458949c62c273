"""Routes of operators, and those that tell whether the application works."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from huleedu_dagster.intake.authority import acting, services_of
from huleedu_dagster.intake.batches import Operator
from huleedu_dagster.intake.contracts import DeadLetterView, Health
from huleedu_dagster.ledger.records import DeadLetter
from huleedu_dagster.pipeline import lifecycle
from huleedu_dagster.storage.port import BlobMissingError

router = APIRouter()

_LARGEST_NUMBER = 2**31 - 1
_PROBE_KEY = "raw_upload_blob/readyz/probe"


@router.get("/v1/dead-letters", tags=["dead letters"], response_model=list[DeadLetterView])
def dead_letters(
    request: Request,
    principal: Operator,
    every: Annotated[bool, Query(alias="all", description="Those that are not open too.")] = False,
) -> list[DeadLetterView]:
    """List dead letters, the first first."""
    found = lifecycle.dead_letters(services_of(request).ledger, only_open=not every)
    return [_view(it) for it in found]


@router.post(
    "/v1/dead-letters/{number}/replay", tags=["dead letters"], response_model=DeadLetterView
)
def replay(
    request: Request,
    number: Annotated[int, Path(ge=1, le=_LARGEST_NUMBER, description="Its number.")],
    principal: Operator,
) -> DeadLetterView:
    """Let a dead letter be tried again; answers with it as it was."""
    return _view(lifecycle.replay(acting(request), number))


@router.get("/healthz", tags=["health"], response_model=Health)
async def healthz() -> Health:
    """Tell that the process answers."""
    return Health(status="ok")


@router.get("/readyz", tags=["health"], response_model=Health)
def readyz(request: Request) -> Health:
    """Tell whether the ledger and the store can be reached; 503 if not."""
    services = services_of(request)
    with services.ledger.read() as tx:
        tx.batches.find("readyz")
    try:
        services.blobs.get(_PROBE_KEY, "")
    except BlobMissingError:
        # The store looked and found nothing there: it works.
        return Health(status="ok")
    return Health(status="ok")


def _view(letter: DeadLetter) -> DeadLetterView:
    return DeadLetterView.model_validate(letter, from_attributes=True)
