"""Ctrl-C while runs are executed in this process: the run under way ends well, then the command.

Dagster makes a failed run of an interrupt, and a failed run is an attempt of all its essays. So the
signal is kept from it: a thread waits for it. A second Ctrl-C ends the process at once; what that
cuts off is found and done by the next command.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from huleedu_dagster.cli.common import Exit

_LOOK_SECONDS = 0.2


class StoppedError(Exception):
    """Somebody asked to stop; the message says how to go on."""


@contextmanager
def stop_asked() -> Iterator[threading.Event]:
    """An event that is set by Ctrl-C while the block lasts."""
    asked = threading.Event()
    over = threading.Event()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    watcher = threading.Thread(target=_watch, args=(asked, over), daemon=True)
    watcher.start()
    try:
        yield asked
    finally:
        over.set()
        if watcher.is_alive():
            # Wakes it, so that the end does not wait for its next look.
            with suppress(ProcessLookupError):
                signal.pthread_kill(watcher.ident or 0, signal.SIGINT)
        watcher.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(asked: threading.Event, over: threading.Event) -> None:
    while not over.is_set():
        if signal.sigtimedwait({signal.SIGINT}, _LOOK_SECONDS) is None or over.is_set():
            continue
        if asked.is_set():
            os._exit(Exit.INTERRUPTED)
        asked.set()
        print(
            "huleedu: finishing the run under way; Ctrl-C again to stop at once",
            file=sys.stderr,
            flush=True,
        )
