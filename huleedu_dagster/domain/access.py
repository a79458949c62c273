"""Who may do what: scopes, API tokens, and the principal that a request acts as.

A token is a secret of 256 random bits that only its bearer knows; the ledger keeps its hash. A fast
hash without salt is enough for a secret of at least 112 random bits (NIST SP 800-63B, 5.1.2.2).
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

TOKEN_PREFIX = "hul_"  # noqa: S105
"""What every token begins with, so that people and scanners know one when they see it."""

MAX_NAME_LENGTH = 80

_SECRET_BYTES = 32
_TOKEN = re.compile(re.escape(TOKEN_PREFIX) + r"[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a token may be used for; none of them includes another."""

    REGISTER = "register"
    UPLOAD = "upload"
    READ = "read"
    OPERATE = "operate"
    METRICS = "metrics"


class AccessError(Exception):
    """A request may not do what it asks for."""


class InvalidTokenError(AccessError):
    """No token, or one that is malformed, unknown or revoked; the message never says which."""

    def __init__(self) -> None:
        super().__init__("a valid API token is needed")


class MissingScopeError(AccessError):
    """The token is valid and does not have the scope.

    Attributes:
        scope: The scope that is missing.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__(f"the API token does not have the scope {scope}")
        self.scope = scope


class InvalidTokenNameError(ValueError):
    """A name that no token can have. The message says which names it can have."""


class NoScopeError(ValueError):
    """A token without a scope, which could be used for nothing."""

    def __init__(self) -> None:
        super().__init__("a token has at least one scope")


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request acts as: the bearer of a valid token."""

    token_id: str
    name: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the token has this scope."""
        return scope in self.scopes

    def require(self, scope: Scope) -> None:
        """Go on only with this scope.

        Raises:
            MissingScopeError: The token does not have it.
        """
        if not self.may(scope):
            raise MissingScopeError(scope)


def new_token() -> str:
    """A fresh token: the prefix and 32 random bytes in URL-safe base64, 47 characters."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def new_token_id() -> str:
    """A fresh id under which a token is listed and revoked: 16 hexadecimal digits, no secret."""
    return secrets.token_hex(8)


def is_token(text: str) -> bool:
    """Whether `text` has the form of a token, so that nothing else needs to be looked up."""
    return _TOKEN.fullmatch(text) is not None


def hash_token(token: str) -> str:
    """What is kept of a token: its SHA-256, hexadecimal. Any text can be hashed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def matches(token: str, token_hash: str) -> bool:
    """Whether a token is the one of this hash; takes as long when it is not."""
    return hmac.compare_digest(hash_token(token).encode(), token_hash.encode())


def token_name(text: str) -> str:
    """The name of a token, without spaces around it.

    Raises:
        InvalidTokenNameError: It is empty, too long or holds control characters.
    """
    name = text.strip()
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidTokenNameError(
            f"a token's name has 1 to {MAX_NAME_LENGTH} characters that can be printed"
        )
    return name
