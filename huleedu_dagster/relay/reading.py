"""Reading the outbox as it grows: in order, and without losing what becomes visible late.

Numbers of the outbox become visible in their order (see `huleedu_dagster.ledger.outbox`), so one
that is missing stays missing, and nobody waits for it.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.port import Envelope, Stop

POLL_SECONDS = 0.5
"""Pause between two looks into the ledger: two queries a second, at most."""

PATIENCE_SECONDS = 300.0
"""How long a ledger that does not answer is waited for."""

PAGE = 500
_LONGEST_PAUSE = 5.0

Recorded = tuple[int, Envelope]
"""An event's sequence number and its envelope."""

Result = TypeVar("Result")


def recorded_after(
    ledger: Ledger, after: int, *, batch_id: str | None = None, limit: int = PAGE
) -> list[Recorded]:
    """The events behind a sequence number; no earlier one can come between them later.

    Args:
        ledger: Where they are recorded.
        after: The last sequence number that is known.
        batch_id: The batch that they are of; any if `None`.
        limit: Events, at most.

    Returns:
        Events in the order of their numbers.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be read.
    """
    with ledger.read() as tx:
        return list(tx.outbox.envelopes(batch_id, after=after, limit=limit))


def recorded(ledger: Ledger, batch_id: str | None = None, *, after: int = 0) -> Iterator[Recorded]:
    """The events behind a sequence number, of which a page at a time is held.

    Args:
        ledger: Where they are recorded.
        batch_id: The batch that they are of; any if `None`.
        after: The last sequence number that is known.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be read.
    """
    while True:
        found = recorded_after(ledger, after, batch_id=batch_id)
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1][0]


def follow(
    ledger: Ledger,
    *,
    after: int,
    stop: Stop,
    unavailable: tuple[type[Exception], ...] = (),
    patience: float = PATIENCE_SECONDS,
) -> Iterator[Recorded]:
    """Recorded events and then new ones as they are recorded, until somebody wishes to stop.

    Args:
        ledger: Where they are recorded.
        after: Begin behind this sequence number.
        stop: The wish to stop.
        unavailable: Errors that mean that the ledger cannot be used now.
        patience: Seconds that such errors are waited out.

    Raises:
        Exception: One of `unavailable`, when it lasted longer than `patience`.
    """
    while not stop.is_set():
        try:
            found = patiently(
                partial(recorded_after, ledger, after),
                stop=stop,
                unavailable=unavailable,
                patience=patience,
            )
        except unavailable:
            if stop.is_set():
                return
            raise
        for seq, envelope in found:
            if stop.is_set():
                return
            yield seq, envelope
            after = seq
        if not found:
            stop.wait(POLL_SECONDS)


def patiently(
    act: Callable[[], Result],
    *,
    stop: Stop,
    unavailable: tuple[type[Exception], ...],
    patience: float = PATIENCE_SECONDS,
) -> Result:
    """Do what needs the ledger, again and again while the ledger cannot be used.

    Args:
        act: What to do; a repeat must do no harm.
        stop: The wish to stop, which ends the waiting.
        unavailable: Errors that mean that the ledger cannot be used now.
        patience: Seconds after which the error is raised.

    Raises:
        Exception: One of `unavailable`, when it lasted too long or somebody wishes to stop.
    """
    end = time.monotonic() + patience
    pause = POLL_SECONDS
    while True:
        try:
            return act()
        except unavailable:
            if time.monotonic() + pause > end or stop.wait(pause):
                raise
            pause = min(2 * pause, _LONGEST_PAUSE)
