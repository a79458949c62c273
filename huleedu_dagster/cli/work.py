"""Getting a batch done from the command line: here, or by whoever works on this home."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huleedu_dagster.cli.common import Installation
from huleedu_dagster.cli.tables import console
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.orchestration.home import DagsterHome, HomeInUseError
from huleedu_dagster.pipeline.exports import export_batch
from huleedu_dagster.pipeline.views import BatchView

_DONE = (BatchStatus.READY, BatchStatus.INCOMPLETE)
_IDLE_TICKS = 3
_POLL_SECONDS = 0.5


class StuckError(Exception):
    """Sensors ask for nothing more, and the batch is not done."""


def work_on(installation: Installation, batch_id: str) -> BatchView:
    """Wait until a batch is ready or incomplete, doing the work if nobody else does.

    A batch that still takes essays is waited for until those it has are done.

    Raises:
        StuckError: There is nothing left to do and the batch is not done.
        TickFailedError: A sensor could not be evaluated.
        OSError: The home folder cannot be used.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    home = DagsterHome(installation.settings)
    with _progress(installation, batch_id):
        while True:
            view = installation.view(batch_id)
            if _nothing_to_wait_for(view):
                return view
            try:
                with home.exclusive("run"):
                    return _work_here(installation, home, batch_id)
            except HomeInUseError:
                time.sleep(_POLL_SECONDS)


def work_and_export(installation: Installation, batch_id: str) -> tuple[BatchView, Path]:
    """`work_on`, and then the results as files for people; returns where they are.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The results cannot be written.
    """
    view = work_on(installation, batch_id)
    folder = installation.settings.export_folder / batch_id
    export_batch(installation.ledger, installation.blobs, batch_id, folder)
    return view, folder


def _work_here(installation: Installation, home: DagsterHome, batch_id: str) -> BatchView:
    from huleedu_dagster.orchestration.in_process import InProcessDaemon

    with home.instance() as instance, InProcessDaemon(instance) as daemon:
        daemon.fail_orphans()
        idle = 0
        while idle < _IDLE_TICKS:
            before = daemon.run_count()
            failed = daemon.failed_run_count()
            daemon.tick()
            view = installation.view(batch_id)
            if _nothing_to_wait_for(view):
                return view
            idle = idle + 1 if daemon.run_count() == before else 0
            if daemon.failed_run_count() > failed:
                # What failed just now is likely to fail again at once.
                time.sleep(installation.settings.retry_delay_seconds)
    raise StuckError("there is nothing left to do, but the batch is not done")


def _nothing_to_wait_for(view: BatchView) -> bool:
    pending = any(it.outcome is EssayOutcome.PENDING for it in view.essays)
    return view.status in _DONE or (view.status is BatchStatus.RECEIVING and not pending)


@contextmanager
def _progress(installation: Installation, batch_id: str) -> Iterator[None]:
    """Show counts while the work goes on; nothing where there is no terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield
        return
    done = threading.Event()
    with screen.status(f"Batch {batch_id}: starting") as status:

        def show() -> None:
            while not done.wait(_POLL_SECONDS):
                view = installation.view(batch_id)
                finished = sum(it.outcome is not EssayOutcome.PENDING for it in view.essays)
                status.update(f"Batch {batch_id}: {finished} of {len(view.essays)} files done")

        watcher = threading.Thread(target=show, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()
