"""Reading the outbox as it grows: in order, and without losing what becomes visible late.

On Postgres a sequence number is taken before its transaction commits. Of two writers at the same
time the later number may be seen first, and a reader that went past it would never see the other.
So nothing behind a missing number is read until it is older than `GAP_SECONDS`: by then the number
is either there or will never be (a writer rolled back, or found its event recorded already). This
holds as long as no transaction of the ledger takes longer than half of it and the clocks of the
machines agree to a few seconds. SQLite lets one writer in at a time: a missing number stays
missing, and nobody waits for it.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.relay.port import Envelope, Stop

GAP_SECONDS = 30.0
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
    ledger: Ledger, after: int, *, limit: int = PAGE, gap_seconds: float | None = None
) -> list[Recorded]:
    """The events behind a sequence number that no earlier one can come before any more.

    Args:
        ledger: Where they are recorded.
        after: The last sequence number that is known.
        limit: Events, at most.
        gap_seconds: Age at which an event behind a missing number is read all the same;
            `GAP_SECONDS` on Postgres and 0 on SQLite when left out.

    Returns:
        Events in the order of their numbers.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be read.
    """
    if gap_seconds is None:
        gap_seconds = 0.0 if ledger.url.startswith("sqlite") else GAP_SECONDS
    with ledger.read() as tx:
        found = tx.outbox.envelopes(after=after, limit=limit)
        old = tx.now - timedelta(seconds=gap_seconds)
    return list(_until_open_gap(found, after, old))


def _until_open_gap(found: Iterable[Recorded], after: int, old: datetime) -> Iterator[Recorded]:
    for seq, envelope in found:
        recorded_at = datetime.fromisoformat(str(envelope["event_timestamp"]))
        if seq != after + 1 and recorded_at > old:
            return
        yield seq, envelope
        after = seq


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
