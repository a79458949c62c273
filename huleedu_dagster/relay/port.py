"""The relay port: carries recorded events out to whoever wants them, at least once.

A consumer may see an event twice (a crash between delivery and the note of it) and tells by
`event_id`, which is equal for the same fact.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Envelope = Mapping[str, Any]
"""An event's envelope as JSON values; see `EventEnvelope`."""


class DeliveryError(Exception):
    """Events were not delivered. The message is a reason that names no person and no secret.

    Args:
        reason: What went wrong, in a few words: `status 503`, `TimeoutError`.
        retryable: Whether the same delivery may succeed later.
        retry_after: Seconds the receiver asks to wait, if it does.
    """

    def __init__(self, reason: str, *, retryable: bool, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable
        self.retry_after = retry_after


class Relay(Protocol):
    """Carries events to one place.

    Attributes:
        name: Under which the ledger keeps how far it is; at most 80 characters, no secret in it.
        batch_size: Events it takes at once, at most.
    """

    @property
    def name(self) -> str: ...

    @property
    def batch_size(self) -> int: ...

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """Deliver events in this order; when it returns, the receiver has all of them for good.

        Args:
            envelopes: One event or more, at most `batch_size`.

        Raises:
            DeliveryError: They are not delivered, or it is not known whether they are.
        """


class Stop(Protocol):
    """Somebody's wish to stop; `threading.Event` is one."""

    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, or until the wish is there; returns whether it is."""
