"""Upkeep of the intake: what requests leave behind is deleted, at start and every hour.

Everything is told by its age, so that several processes may share a home and a ledger.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from huleedu_dagster.intake.receiving import spool_folder
from huleedu_dagster.intake.services import Services
from huleedu_dagster.ledger.ledger import Ledger

HOUR_SECONDS = 3600.0
KEEP_KEYS_SECONDS = 7 * 24 * HOUR_SECONDS
"""How long an Idempotency-Key is remembered."""
ABANDONED_SECONDS = 24 * HOUR_SECONDS
"""Age of remains that no request can still be working on."""

_END_SECONDS = 5.0
_LOG = logging.getLogger(__name__)


@runtime_checkable
class SweptStore(Protocol):
    """A blob store in which writers that were killed leave something."""

    def sweep(self, older_than: float) -> int:
        """See `LocalBlobStore.sweep`."""
        ...


class Upkeep:
    """Does chores, one after the other, again and again.

    Args:
        chores: By name; each gives how much it deleted.
        interval: Seconds between two rounds.
    """

    def __init__(
        self, chores: Mapping[str, Callable[[], int]], interval: float = HOUR_SECONDS
    ) -> None:
        self._chores = chores
        self._interval = interval
        self._ended = threading.Event()

    @classmethod
    def of(cls, services: Services, interval: float = HOUR_SECONDS) -> Self:
        """The chores of an installation."""
        chores = {
            "idempotency_keys": lambda: _forget_keys(services.ledger),
            "spool": lambda: sweep_spool(services.settings.home, ABANDONED_SECONDS),
        }
        blobs = services.blobs
        if isinstance(blobs, SweptStore):
            chores["blob_store"] = lambda: blobs.sweep(ABANDONED_SECONDS)
        return cls(chores, interval)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do it in a thread beside the block; the first round begins at once."""
        thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            # A daemon: a chore that hangs on a dead disk does not hold up the end.
            thread.join(_END_SECONDS)

    def run_once(self) -> None:
        """One round; what fails is logged and waits for the next."""
        for name, chore in self._chores.items():
            try:
                deleted = chore()
            except Exception as error:
                keys = {"phase": "upkeep", "chore": name, "status": "failed"}
                _LOG.error("chore failed", exc_info=error, extra=keys)
            else:
                keys = {"phase": "upkeep", "chore": name, "status": "done"}
                _LOG.info("chore done", extra={**keys, "deleted": deleted})

    def _run(self) -> None:
        while not self._ended.is_set():
            self.run_once()
            self._ended.wait(self._interval)


def sweep_spool(home: Path, older_than: float) -> int:
    """Delete what requests left that were set aside when their process was killed.

    Args:
        home: The installation.
        older_than: Seconds since the last byte of such a request was written.

    Returns:
        How many requests it was.

    Raises:
        OSError: The spool cannot be listed or changed.
    """
    before = time.time() - older_than
    folder = spool_folder(home)
    found = [it for it in folder.iterdir() if it.is_dir()] if folder.exists() else []
    return sum(_remove(it) for it in found if _last_written(it) < before)


def _last_written(folder: Path) -> float:
    moments = [time.time()]
    # What is just going, since its request ends or another process sweeps, is left to them.
    with suppress(FileNotFoundError):
        moments = [it.stat().st_mtime for it in (folder, *folder.iterdir())]
    return max(moments)


def _remove(folder: Path) -> bool:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
        return True
    return False


def _forget_keys(ledger: Ledger) -> int:
    with ledger.write() as tx:
        return tx.idempotency.forget(KEEP_KEYS_SECONDS)
