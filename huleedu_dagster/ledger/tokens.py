"""API tokens: made, found by the hash of what a request brings, revoked; no token is stored."""

from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa

from huleedu_dagster.domain.access import NoScopeError, Scope, new_token_id, token_name
from huleedu_dagster.ledger.records import ApiToken
from huleedu_dagster.ledger.rows import Rows
from huleedu_dagster.ledger.tables import api_tokens

_TOUCH_INTERVAL = timedelta(minutes=1)


class UnknownTokenError(LookupError):
    """There is no token of this id."""


class TokenNameTakenError(ValueError):
    """A token that is not revoked has this name."""


class TokenRows(Rows):
    """The table of API tokens."""

    def create(self, name: str, scopes: Iterable[Scope], token_hash: str) -> ApiToken:
        """Add a token. The caller makes it (`new_token`), shows it once and gives its hash here.

        Args:
            name: What people call it; the name of a revoked token is free again.
            scopes: What it may be used for.
            token_hash: `hash_token` of the token.

        Raises:
            InvalidTokenNameError: No token can have this name.
            NoScopeError: There is no scope.
            TokenNameTakenError: A token that is not revoked has this name.
        """
        granted = frozenset(scopes)
        if not granted:
            raise NoScopeError
        values = {
            "token_id": new_token_id(),
            "name": token_name(name),
            "token_hash": token_hash,
            "scopes": sorted(granted),
            "created_at": self.now,
        }
        if not self.insert_new(api_tokens, values):
            raise TokenNameTakenError(values["name"])
        return self.get(str(values["token_id"]))

    def get(self, token_id: str) -> ApiToken:
        """A token, revoked or not.

        Raises:
            UnknownTokenError: There is none of this id.
        """
        found = self._tokens(api_tokens.c.token_id == token_id)
        if not found:
            raise UnknownTokenError(token_id)
        return found[0]

    def find_by_hash(self, token_hash: str) -> ApiToken | None:
        """The token of this hash, `None` when there is none or it is revoked."""
        found = self._tokens(
            api_tokens.c.token_hash == token_hash, api_tokens.c.revoked_at.is_(None)
        )
        return found[0] if found else None

    def all(self) -> list[ApiToken]:
        """Every token there ever was, the first first."""
        return self._tokens()

    def revoke(self, token_id: str) -> bool:
        """Let a token be refused from now on; what it registered stays.

        Returns:
            Whether it was not revoked yet.

        Raises:
            UnknownTokenError: There is none of this id.
        """
        self.get(token_id)
        statement = (
            sa.update(api_tokens)
            .where(api_tokens.c.token_id == token_id, api_tokens.c.revoked_at.is_(None))
            .values(revoked_at=self.now)
        )
        return self.connection.execute(statement).rowcount == 1

    def touch_due(self, token: ApiToken) -> bool:
        """Whether `touch_used` would write; a request that need not write takes no write lock."""
        used = token.last_used_at
        return used is None or used <= self.now - _TOUCH_INTERVAL

    def touch_used(self, token_id: str) -> bool:
        """Note that a request came with a token; written at most once a minute.

        Returns:
            Whether it was written.
        """
        used = api_tokens.c.last_used_at
        statement = (
            sa.update(api_tokens)
            .where(
                api_tokens.c.token_id == token_id,
                used.is_(None) | (used <= self.now - _TOUCH_INTERVAL),
            )
            .values(last_used_at=self.now)
        )
        return self.connection.execute(statement).rowcount == 1

    def _tokens(self, *where: sa.ColumnElement[bool]) -> list[ApiToken]:
        order = (api_tokens.c.created_at, api_tokens.c.token_id)
        rows = self.connection.execute(sa.select(api_tokens).where(*where).order_by(*order))
        return [
            ApiToken(**{**row, "scopes": frozenset(Scope(it) for it in row["scopes"])})
            for row in rows.mappings()
        ]
