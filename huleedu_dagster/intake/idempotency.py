"""Requests with an Idempotency-Key: done once, answered alike.

The rules are Stripe's (https://docs.stripe.com/api/idempotent_requests): the first status and body
are stored and replayed; other content under the key is refused; so is a request whose first one is
still under way. Answers that say "try again later" are never stored, nor is the answer to a
request that was refused before its work began.
"""

from collections.abc import Callable

from fastapi import Request, Response

from huleedu_dagster.domain.access import Principal
from huleedu_dagster.intake.authority import services_of
from huleedu_dagster.intake.explain import explained
from huleedu_dagster.intake.problems import (
    ProblemCode,
    ProblemError,
    problem_response,
)
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.idempotency import (
    Begun,
    InFlight,
    Mismatch,
    New,
    Replay,
)
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.metrics import Duplicate

KEY_HEADER = "Idempotency-Key"
KEY_PATTERN = "^[!-~](?:[ -~]{0,253}[!-~])?$"
"""What a key is: printable ASCII, since other characters are different bytes to every client."""

Keep = Callable[[Transaction, Response], None]
"""Stores the first answer under a key, in a transaction that is open."""

_ABANDONED_AFTER_SECONDS = 300.0
_KEPT_HEADERS = ("content-type", "location")
_REPLAYED = "Idempotency-Replayed"


def answer_once(
    request: Request,
    principal: Principal,
    key: str | None,
    request_hash: str,
    work: Callable[[Keep], Response],
) -> Response:
    """Do `work`, or give the answer that it gave under this key before. Blocks.

    Args:
        request: The request, for its route and services.
        principal: Whose key it is.
        key: The key, as `KEY_PATTERN` has it; without one, `work` is simply done.
        request_hash: Hash of what the request asks for, hexadecimal.
        work: Does it and gives the answer, which it may keep in its own transaction: then neither
            is there without the other, however the process ends. What it raises is stored as an
            answer where it is the caller's mistake; otherwise the key is given back.

    Raises:
        ProblemError: The key is in use, or belongs to another request.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    if key is None:
        return work(lambda _tx, _response: None)
    services: Services = services_of(request)
    route = f"{request.method} {request.url.path}"
    begun = _begin(services, principal, key, route, request_hash)
    if isinstance(begun, Replay):
        headers = {**begun.headers, _REPLAYED: "true"}
        return Response(begun.body, status_code=begun.status, headers=headers)
    if isinstance(begun, InFlight):
        raise ProblemError(ProblemCode.REQUEST_IN_PROGRESS, headers={"Retry-After": "1"})
    if isinstance(begun, Mismatch):
        raise ProblemError(ProblemCode.IDEMPOTENCY_KEY_REUSED)

    def answer(keep: Keep) -> Response:
        return _answer(request, services, lambda: work(keep))

    return _first(services, principal, key, begun, answer)


def _begin(
    services: Services, principal: Principal, key: str, route: str, request_hash: str
) -> Begun:
    with services.ledger.write() as tx:
        begun = tx.idempotency.begin(
            principal.token_id,
            key,
            route=route,
            request_hash=request_hash,
            abandoned_after=_ABANDONED_AFTER_SECONDS,
        )
        if isinstance(begun, Replay):
            tx.metrics.count_suppressed(Duplicate.REQUEST)
        return begun


def _first(
    services: Services,
    principal: Principal,
    key: str,
    begun: New,
    answer: Callable[[Keep], Response],
) -> Response:
    kept = False

    def keep(tx: Transaction, response: Response) -> None:
        nonlocal kept
        tx.idempotency.finish(
            principal.token_id,
            key,
            begun.claim,
            status=response.status_code,
            headers={it: response.headers[it] for it in _KEPT_HEADERS if it in response.headers},
            body=bytes(response.body),
        )
        kept = True

    try:
        response = answer(keep)
    except BaseException:
        with services.ledger.write() as tx:
            tx.idempotency.abandon(principal.token_id, key, begun.claim)
        raise
    if not kept:
        with services.ledger.write() as tx:
            keep(tx, response)
    return response


def _answer(request: Request, services: Services, work: Callable[[], Response]) -> Response:
    try:
        return work()
    except Exception as error:
        problem = explained(error, services.limits.retry_seconds)
        if problem.status_code >= 500 or problem.status_code == 429:
            raise
        return problem_response(problem, request.state.correlation_id)
