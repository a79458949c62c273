"""Whom a request acts as, and which batches it may see.

A batch is seen by the token that registered it and by tokens with the scope `operate`; to others
it does not exist.
"""

from collections.abc import Awaitable, Callable, Sequence

from fastapi import Request

from huleedu_dagster.domain.access import (
    InvalidTokenError,
    Principal,
    Scope,
    hash_token,
    is_token,
)
from huleedu_dagster.domain.actions import Actor
from huleedu_dagster.domain.ids import is_batch_id
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import ApiToken, Batch
from huleedu_dagster.ledger.tokens import UnknownTokenError
from huleedu_dagster.pipeline.intake import Intake

_SCHEME = "bearer"


def principal_of(ledger: Ledger, authorization: Sequence[str]) -> Principal:
    """The bearer of the token in the Authorization headers of a request.

    Raises:
        InvalidTokenError: There is not exactly one, or its token is malformed, unknown or revoked.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    if len(authorization) != 1:
        raise InvalidTokenError
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != _SCHEME:
        raise InvalidTokenError
    return principal_of_token(ledger, token.strip())


def principal_of_token(ledger: Ledger, token: str) -> Principal:
    """The bearer of a token.

    Raises:
        InvalidTokenError: It is malformed, unknown or revoked.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    if not is_token(token):
        raise InvalidTokenError
    with ledger.read() as tx:
        found = tx.tokens.find_by_hash(hash_token(token))
        due = found is not None and tx.tokens.touch_due(found)
    return _used(ledger, found, due=due)


def principal_of_id(ledger: Ledger, token_id: str) -> Principal:
    """Whom a session acts as: the bearer of the token of this id.

    Raises:
        InvalidTokenError: There is none, or it is revoked.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    with ledger.read() as tx:
        try:
            token = tx.tokens.get(token_id)
        except UnknownTokenError:
            raise InvalidTokenError from None
        found = token if token.revoked_at is None else None
        due = found is not None and tx.tokens.touch_due(found)
    return _used(ledger, found, due=due)


def needs(*scopes: Scope) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that lets requests pass that have one of these scopes.

    It gives whom the request acts as. A route without it is open to every valid token.
    """

    async def check(request: Request) -> Principal:
        principal: Principal = request.state.principal
        if not any(principal.may(scope) for scope in scopes):
            principal.require(scopes[0])
        return principal

    return check


def sees(principal: Principal, batch: Batch) -> bool:
    """Whether a batch is visible to a token."""
    return principal.may(Scope.OPERATE) or batch.owner == principal.token_id


def visible_batch(tx: Transaction, principal: Principal, batch_id: str) -> Batch:
    """A batch that the token may see.

    Raises:
        UnknownBatchError: There is none of this id, or it is another's.
    """
    batch = tx.batches.find(batch_id) if is_batch_id(batch_id) else None
    if batch is None or not sees(principal, batch):
        raise UnknownBatchError(batch_id)
    return batch


def visible_batches(
    tx: Transaction, principal: Principal, *, limit: int | None = None, offset: int = 0
) -> Sequence[Batch]:
    """The batches that the token may see, the latest first.

    Args:
        tx: Where they are looked up.
        principal: Whom the request acts as.
        limit: How many at most; all if `None`.
        offset: How many of the latest are left out.
    """
    owner = None if principal.may(Scope.OPERATE) else principal.token_id
    return tx.batches.page(owner=owner, limit=limit, offset=offset)


def services_of(request: Request) -> Services:
    """The services the application was built with."""
    services: Services = request.app.state.services
    return services


def acting(request: Request) -> Ledger:
    """The ledger, on which whoever sent the request acts."""
    token_id = request.state.principal.token_id
    return services_of(request).ledger.acting(
        Actor.token(token_id), correlation_id=request.state.correlation_id
    )


def intake_of(request: Request) -> Intake:
    """What takes files in, for whoever sent the request."""
    return services_of(request).intake.by(acting(request))


def _used(ledger: Ledger, token: ApiToken | None, *, due: bool) -> Principal:
    if token is None:
        raise InvalidTokenError
    if due:
        with ledger.write() as tx:
            tx.tokens.touch_used(token.token_id)
    return token.principal
