"""Who did what: the words of the journal of actions."""

from dataclasses import dataclass
from enum import StrEnum


class ActorKind(StrEnum):
    """In which way somebody can act."""

    TOKEN = "token"  # noqa: S105
    OPERATOR = "operator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts.

    Attributes:
        actor_id: Of a token its id, of an operator the name of the account on the machine, and of
            the system the part of it that acts. Nothing of it may get into Dagster or into logs.
    """

    kind: ActorKind
    actor_id: str

    @classmethod
    def token(cls, token_id: str) -> "Actor":
        """Who brings an API token, or has signed in with one."""
        return cls(ActorKind.TOKEN, token_id)

    @classmethod
    def operator(cls, account: str) -> "Actor":
        """Who uses the command line, by the name of the account."""
        return cls(ActorKind.OPERATOR, account)


SYSTEM = Actor(ActorKind.SYSTEM, "pipeline")
"""Sensors and runs, which act because it is time to."""

INTAKE = Actor(ActorKind.SYSTEM, "intake")
"""The intake itself, which makes the first token on a computer; not those who use it."""

INBOX = Actor(ActorKind.SYSTEM, "inbox")
"""The sweep of the inbox folder or bucket; whoever put files there did not say who it was."""


class Action(StrEnum):
    """What was done; a value that is stored stays what it is."""

    REGISTERED = "registered"
    RECEIVED = "received"
    """Files were kept, `amount` of them: new essays and versions, excess and late ones."""
    UNCHANGED = "unchanged"
    """Files were handed in again as they are, `amount` of them: the suppressed duplicates."""
    SETTINGS_CHANGED = "settings_changed"
    CLOSED = "closed"
    REOPENED = "reopened"
    WAIVED = "waived"
    REPLAYED = "replayed"
    REPROCESSED = "reprocessed"
    """Stored essays are to be worked over again, `amount` of them."""
    RELEASED = "released"
    ARCHIVED = "archived"
    """A batch was taken off Dagster's pages."""
    RESENT = "resent"
    """An event that a relay had gone past was delivered after all."""
    TOKEN_CREATED = "token_created"  # noqa: S105
    TOKEN_REVOKED = "token_revoked"  # noqa: S105
