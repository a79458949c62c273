"""`huleedu events`: what happened, as JSON lines, and on request what happens."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

from huleedu_dagster.cli.common import MOST_NUMBER, HomeOption, Installation, JsonOption
from huleedu_dagster.relay.port import Envelope
from huleedu_dagster.relay.reading import follow as followed
from huleedu_dagster.relay.reading import recorded

_SLICE_SECONDS = 0.1


class SignalStop:
    """A wish to stop that a signal makes; see `Stop`.

    A second signal ends the process as if nobody had caught it.
    """

    def __init__(self) -> None:
        self._asked = False

    def ask(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        if self._asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._asked = True

    def is_set(self) -> bool:
        """See `Stop.is_set`."""
        return self._asked

    def wait(self, timeout: float) -> bool:
        """See `Stop.wait`."""
        end = time.monotonic() + timeout
        # In slices, since a sleep goes on after a signal. An event would not do: its lock may be
        # held here when the handler runs.
        while not self._asked and (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, _SLICE_SECONDS))
        return self._asked


@contextmanager
def stopped_by_signals() -> Iterator[SignalStop]:
    """A wish to stop that Ctrl-C or SIGTERM makes while the block lasts."""
    stop = SignalStop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ledger_unavailable() -> tuple[type[Exception], ...]:
    """Errors that mean that the ledger cannot be used now: locked, or its server is away."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    return OperationalError, InterfaceError


def events(
    batch: Annotated[str | None, typer.Argument(help="Id of the batch; all if left out.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new ones until Ctrl-C.")
    ] = False,
    after: Annotated[
        int,
        typer.Option("--after", min=0, max=MOST_NUMBER, help="Begin behind this sequence number."),
    ] = 0,
    numbered: Annotated[
        bool,
        typer.Option("--numbered", help='Print {"seq": …, "envelope": …}; --after takes the seq.'),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the events, one JSON object a line, the first first.

    With `--follow`, Ctrl-C or SIGTERM ends it with exit code 0.
    """
    installation = Installation.at(home)
    if batch is not None:
        with installation.ledger.read() as tx:
            tx.batches.get(batch)
    if not follow:
        for seq, envelope in recorded(installation.ledger, batch, after=after):
            _print(seq, envelope, numbered=numbered)
        return
    with stopped_by_signals() as stop:
        for seq, envelope in followed(
            installation.ledger, after=after, stop=stop, unavailable=ledger_unavailable()
        ):
            if batch in (None, envelope["data"]["batch_id"]):
                _print(seq, envelope, numbered=numbered)


def _print(seq: int, envelope: Envelope, *, numbered: bool) -> None:
    """Print one line and flush it: `typer.echo` does."""
    value = {"seq": seq, "envelope": envelope} if numbered else envelope
    typer.echo(json.dumps(value, ensure_ascii=False, sort_keys=True))
