"""Carrying the outbox to a relay: in order, at least once, with retries and dead letters.

The ledger keeps how far a relay is. That is noted after the delivery, so a crash between the two
delivers again and never skips. An event that is refused for good, or fails too often, becomes a
dead letter of the relay and the next one is delivered: the order is kept but for dead letters.
One process at a time may run a relay; two would deliver everything twice.
"""

import itertools
import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from huleedu_dagster.domain.actions import Action
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.port import DeliveryError, Envelope, Relay, Stop
from huleedu_dagster.relay.reading import (
    PATIENCE_SECONDS,
    POLL_SECONDS,
    Recorded,
    Result,
    patiently,
    recorded_after,
)

ATTEMPTS = 12
"""With the pauses of `RetryPolicy` about half an hour."""

_LOG = logging.getLogger(__name__)
_MOST_DOUBLINGS = 30


class EventGoneError(LookupError):
    """The event of a dead letter is not in the ledger any more."""


class OtherRelayError(ValueError):
    """A dead letter belongs to another relay than the one it was to be replayed to."""


class _StoppedError(Exception):
    """Somebody wishes to stop."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a delivery is tried again.

    Attributes:
        attempts: Deliveries after which an event becomes a dead letter.
        first_pause: Seconds after the first failure, at most; doubled after each further one.
        longest_pause: Seconds between two attempts, at most, whatever the receiver asks for.
    """

    attempts: int = ATTEMPTS
    first_pause: float = 1.0
    longest_pause: float = 900.0

    def pause(self, failures: int, retry_after: float | None, chance: random.Random) -> float:
        """Seconds to wait.

        Args:
            failures: How often the delivery failed so far, at least 1.
            retry_after: Seconds that the receiver asks for.
            chance: Spreads the pauses, so that many relays do not come back at once.
        """
        doubled = self.first_pause * 2.0 ** min(failures - 1, _MOST_DOUBLINGS)
        spread = min(doubled, self.longest_pause) * chance.uniform(0.5, 1.0)
        return min(max(spread, retry_after or 0.0), self.longest_pause)


@dataclass(frozen=True, slots=True)
class Carried:
    """What a relay did.

    Attributes:
        delivered: Events that arrived.
        dead: Events that became dead letters.
    """

    delivered: int = 0
    dead: int = 0


class Relaying:
    """Carries events from a ledger to a relay.

    Args:
        ledger: Where events are recorded, and how far the relay is.
        relay: Where they go.
        stop: The wish to stop; it ends every waiting, and nothing is lost by it.
        policy: When a delivery is tried again.
        unavailable: Errors that mean that the ledger cannot be used now.
        patience: Seconds that such errors are waited out.
        chance: Spreads the pauses.
    """

    def __init__(
        self,
        ledger: Ledger,
        relay: Relay,
        *,
        stop: Stop,
        policy: RetryPolicy | None = None,
        unavailable: tuple[type[Exception], ...] = (),
        patience: float = PATIENCE_SECONDS,
        chance: random.Random | None = None,
    ) -> None:
        self._ledger = ledger
        self._relay = relay
        self._stop = stop
        self._policy = policy or RetryPolicy()
        self._unavailable = unavailable
        self._patience = patience
        self._chance = chance or random.SystemRandom()
        self._delivered = 0
        self._dead = 0

    def run(self, *, once: bool = False) -> Carried:
        """Deliver what is recorded and what will be, until somebody wishes to stop.

        Args:
            once: End when everything recorded is delivered or a dead letter.

        Raises:
            Exception: One of `unavailable`, when it lasted longer than `patience`.
        """
        try:
            self._run(once=once)
        except self._unavailable:
            # Waiting for the ledger was given up because somebody wishes to stop.
            if not self._stop.is_set():
                raise
        except _StoppedError:
            pass
        return Carried(self._delivered, self._dead)

    def _run(self, *, once: bool) -> None:
        position = self._patiently(self._position)
        while not self._stop.is_set():
            found = self._patiently(partial(self._behind, position))
            if found:
                self._carry(found)
                position = found[-1][0]
            elif once:
                return
            else:
                self._stop.wait(POLL_SECONDS)

    def _position(self) -> int:
        with self._ledger.read() as tx:
            return tx.relays.position(self._relay.name)

    def _behind(self, position: int) -> list[Recorded]:
        return recorded_after(self._ledger, position, limit=self._relay.batch_size)

    def _carry(self, batch: Sequence[Recorded]) -> None:
        """Deliver a batch or make dead letters of it, and note the position."""
        started = time.monotonic()
        error, attempts = self._try([envelope for _, envelope in batch])
        if error is None:
            self._patiently(partial(self._note, batch[-1][0]))
            self._delivered += len(batch)
            self._log_delivered(batch, started)
        elif len(batch) > 1 and not error.retryable:
            # One of them is refused; the others are not to suffer for it.
            for one in batch:
                self._carry([one])
        else:
            self._patiently(partial(self._bury, batch, error, attempts))
            self._dead += len(batch)

    def _try(self, envelopes: Sequence[Envelope]) -> tuple[DeliveryError | None, int]:
        """What it failed with at last, if it did, and the number of attempts.

        Raises:
            _StoppedError: Somebody wishes to stop.
        """
        for attempt in itertools.count(1):
            if self._stop.is_set():
                break
            try:
                self._relay.deliver(envelopes)
            except DeliveryError as error:
                if not error.retryable or attempt >= self._policy.attempts:
                    return error, attempt
                pause = self._policy.pause(attempt, error.retry_after, self._chance)
                self._log_retry(envelopes[0], error, attempt, pause)
                self._stop.wait(pause)
            else:
                return None, attempt
        raise _StoppedError

    def _note(self, seq: int) -> None:
        with self._ledger.write() as tx:
            tx.relays.advance(self._relay.name, seq)

    def _bury(self, batch: Sequence[Recorded], error: DeliveryError, attempts: int) -> None:
        with self._ledger.write() as tx:
            for seq, envelope in batch:
                tx.relays.add_dead_letter(
                    self._relay.name,
                    seq,
                    event_id=str(envelope["event_id"]),
                    reason=error.reason,
                    attempts=attempts,
                )
            tx.relays.advance(self._relay.name, batch[-1][0])
        for _, envelope in batch:
            keys = {**self._keys(envelope), "status": "dead_lettered", "attempts": attempts}
            _LOG.error("event not delivered", extra={**keys, "reason": error.reason})

    def _log_retry(
        self, envelope: Envelope, error: DeliveryError, attempt: int, pause: float
    ) -> None:
        keys = {**self._keys(envelope), "status": "failed", "attempts": attempt}
        more = {"next_in_ms": round(pause * 1000), "reason": error.reason}
        _LOG.warning("delivery failed", extra={**keys, **more})

    def _log_delivered(self, batch: Sequence[Recorded], started: float) -> None:
        if not _LOG.isEnabledFor(logging.INFO):
            return
        duration_ms = round((time.monotonic() - started) * 1000)
        for _, envelope in batch:
            keys = {**self._keys(envelope), "status": "delivered", "duration_ms": duration_ms}
            _LOG.info("event delivered", extra=keys)

    def _keys(self, envelope: Envelope) -> dict[str, Any]:
        data = envelope.get("data", {})
        return {
            "corr_id": envelope.get("correlation_id"),
            "batch_id": data.get("batch_id"),
            "essay_id": data.get("essay_id"),
            "phase": "relay",
            "relay": self._relay.name,
            "event_id": str(envelope["event_id"]),
            "event_type": envelope.get("event_type"),
        }

    def _patiently(self, act: Callable[[], Result]) -> Result:
        return patiently(
            act, stop=self._stop, unavailable=self._unavailable, patience=self._patience
        )


def replay(ledger: Ledger, relay: Relay, letter_id: int) -> None:
    """Deliver the event of a dead letter now, with one attempt, and resolve the letter.

    Args:
        ledger: Where the letter and its event are.
        relay: The relay that the letter is of.
        letter_id: Number of the dead letter.

    Raises:
        UnknownRelayDeadLetterError: There is no such letter.
        OtherRelayError: It belongs to another relay.
        EventGoneError: Its event is not in the ledger any more.
        DeliveryError: The delivery failed; the letter stays open.
    """
    with ledger.read() as tx:
        letter = tx.relays.dead_letter(letter_id)
        found = list(tx.outbox.envelopes(after=letter.seq - 1, limit=1))
    if letter.relay != relay.name:
        raise OtherRelayError(f"dead letter {letter_id} belongs to the relay {letter.relay}")
    if not found or found[0][1]["event_id"] != letter.event_id:
        raise EventGoneError(f"the event of dead letter {letter_id} is not recorded any more")
    relay.deliver([found[0][1]])
    with ledger.write() as tx:
        if tx.relays.resolve(letter_id):
            tx.actions.record(
                Action.RESENT,
                batch_id=found[0][1]["data"]["batch_id"],
                correlation_id=found[0][1]["correlation_id"],
            )
