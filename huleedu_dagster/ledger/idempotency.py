"""Idempotency keys: a request sent again under its key gets the first answer, and is done once.

As Stripe does it (https://docs.stripe.com/api/idempotent_requests): the first status and body are
stored and replayed, other parameters under the same key are an error, and so is a request whose
first one is still under way. A key belongs to the token that sent it.

The transaction of `begin` has to commit before the work starts; `finish` may be called in the
transaction that does the work, and then the work and its answer are there together or not at all.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import idempotency_keys

MAX_KEY_LENGTH = 255

NEVER_STORED = frozenset({429, 503})
"""Statuses that say "try again later": the next request under the key is a new one."""

_TURNS = 5


class InvalidIdempotencyKeyError(ValueError):
    """A text that is no idempotency key. The message says what is."""

    def __init__(self) -> None:
        super().__init__(f"an idempotency key has 1 to {MAX_KEY_LENGTH} printable characters")


class ContendedKeyError(RuntimeError):
    """Others took and left the key again and again while it was asked for; try again."""


class KeyState(StrEnum):
    """Where the request of a key is."""

    IN_FLIGHT = "in_flight"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class New:
    """Nobody did this request: do it.

    Attributes:
        claim: Shows `finish` and `abandon` that the key is still this request's.
    """

    claim: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The request is done: answer what was answered first."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class InFlight:
    """The same request is under way.

    Attributes:
        since: When it began.
    """

    since: datetime


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Another request (route or content) has this key."""


Begun = New | Replay | InFlight | Mismatch


class IdempotencyRows(Rows):
    """The table of idempotency keys."""

    def begin(
        self, owner: str, key: str, *, route: str, request_hash: str, abandoned_after: float
    ) -> Begun:
        """Claim a key for a request, or tell why it is not to be done.

        Of any number of requests that ask at once, exactly one is `New`.

        Args:
            owner: Id of the token of the request.
            key: The idempotency key.
            route: Method and path, such as `POST /v1/batches/register`.
            request_hash: Hash of what the request asks for, hexadecimal.
            abandoned_after: Seconds after which a request under way counts as abandoned, as after
                a crash; its key is then free for any request.

        Raises:
            InvalidIdempotencyKeyError: The key is empty, too long or cannot be printed.
            ContendedKeyError: Others took and left the key all the time.
            sqlalchemy.exc.IntegrityError: There is no token of this id.
        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isprintable():
            raise InvalidIdempotencyKeyError
        claim = uuid.uuid4().hex
        asked = {"route": route, "request_hash": request_hash}
        taken = {**asked, "claim": claim, "state": KeyState.IN_FLIGHT, "created_at": self.now}
        # On Postgres the row that is in the way may be gone when it is looked at.
        for _ in range(_TURNS):
            if self.insert_new(idempotency_keys, {"owner": owner, "key": key, **taken}):
                return New(claim)
            row = self._locked(owner, key)
            if row is None:
                continue
            if not self._is_abandoned(row, abandoned_after):
                return _answer(row, asked)
            self._update(owner, key, row["claim"], taken)
            return New(claim)
        raise ContendedKeyError(key)

    def finish(
        self,
        owner: str,
        key: str,
        claim: str,
        *,
        status: int,
        headers: Mapping[str, str],
        body: bytes,
    ) -> bool:
        """Store the answer of a request under its key.

        Returns:
            Whether the key was still the request's; one that took too long may have lost it, and
            then nothing is stored.

        Raises:
            ValueError: The status is one of `NEVER_STORED`; such a request is abandoned.
        """
        if status in NEVER_STORED:
            raise ValueError(f"an answer with status {status} is never stored")
        answer = {"status": status, "headers": dict(headers), "body": body}
        return self._update(owner, key, claim, {"state": KeyState.DONE, **answer})

    def abandon(self, owner: str, key: str, claim: str) -> bool:
        """Give the key back without an answer, so that the next request is a new one.

        Returns:
            Whether the key was still the request's.
        """
        statement = sa.delete(idempotency_keys).where(*_under_way(owner, key, claim))
        return self.connection.execute(statement).rowcount == 1

    def forget(self, older_than: float) -> int:
        """Delete the keys that were first used more than so many seconds ago.

        Returns:
            How many there were.
        """
        before = self.now - timedelta(seconds=older_than)
        statement = sa.delete(idempotency_keys).where(idempotency_keys.c.created_at < before)
        return int(self.connection.execute(statement).rowcount)

    def _locked(self, owner: str, key: str) -> sa.RowMapping | None:
        query = sa.select(idempotency_keys).where(
            idempotency_keys.c.owner == owner, idempotency_keys.c.key == key
        )
        return self.connection.execute(query.with_for_update()).mappings().one_or_none()

    def _is_abandoned(self, row: sa.RowMapping, seconds: float) -> bool:
        age = self.now - row["created_at"]
        return bool(row["state"] == KeyState.IN_FLIGHT and age > timedelta(seconds=seconds))

    def _update(self, owner: str, key: str, claim: str, values: Mapping[str, object]) -> bool:
        statement = sa.update(idempotency_keys).where(*_under_way(owner, key, claim))
        return self.connection.execute(statement.values(**values)).rowcount == 1


def _under_way(owner: str, key: str, claim: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = idempotency_keys.c
    return (
        columns.owner == owner,
        columns.key == key,
        columns.claim == claim,
        columns.state == KeyState.IN_FLIGHT,
    )


def _answer(row: sa.RowMapping, asked: Mapping[str, str]) -> Begun:
    if any(row[name] != value for name, value in asked.items()):
        return Mismatch()
    if row["state"] == KeyState.IN_FLIGHT:
        return InFlight(row["created_at"])
    return Replay(row["status"], row["headers"], bytes(row["body"]))
