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
from huleedu_dagster.domain.ids import is_batch_id
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.batches import UnknownBatchError
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import Batch

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
    if scheme.lower() != _SCHEME or not is_token(token.strip()):
        raise InvalidTokenError
    with ledger.read() as tx:
        found = tx.tokens.find_by_hash(hash_token(token.strip()))
        due = found is not None and tx.tokens.touch_due(found)
    if found is None:
        raise InvalidTokenError
    if due:
        with ledger.write() as tx:
            tx.tokens.touch_used(found.token_id)
    return found.principal


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


def visible_batches(tx: Transaction, principal: Principal) -> Sequence[Batch]:
    """The batches that the token may see, the latest first."""
    if principal.may(Scope.OPERATE):
        return tx.batches.all()
    return tx.batches.of_owner(principal.token_id)


def services_of(request: Request) -> Services:
    """The services the application was built with."""
    services: Services = request.app.state.services
    return services
