"""Getting a batch done from the command line: here, or by whoever works on this home."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from huleedu_dagster.cli.common import Installation
from huleedu_dagster.cli.interrupts import StoppedError, stop_asked
from huleedu_dagster.cli.tables import console
from huleedu_dagster.domain.completeness import BatchStatus
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.observability.logs import errors_kept
from huleedu_dagster.orchestration.home import DagsterHome, HomeInUseError
from huleedu_dagster.pipeline.exports import export_batch
from huleedu_dagster.pipeline.reprocessing import is_reprocessing
from huleedu_dagster.pipeline.stages import Tools
from huleedu_dagster.pipeline.versions import CodeVersions
from huleedu_dagster.pipeline.views import BatchView

if TYPE_CHECKING:
    from huleedu_dagster.orchestration.in_process import InProcessDaemon

_DONE = (BatchStatus.READY, BatchStatus.INCOMPLETE)
_IDLE_TICKS = 3
_LOG = "logs/run.log"
"""In the home folder: the errors of the last command that did the work itself and met any."""
_POLL_SECONDS = 0.5


class StuckError(Exception):
    """Sensors ask for nothing more, and the batch is not done."""


def work_on(installation: Installation, batch_id: str, *, checked: bool = False) -> BatchView:
    """Wait until a batch is ready or incomplete, doing the work if nobody else does.

    A batch that still takes essays is waited for until those it has are done.

    Args:
        installation: Where it is.
        batch_id: The batch.
        checked: Whether to go on with the checks of its essays and today's audit, which a server
            runs at night; left to it where it does the work.

    Raises:
        StuckError: A sensor fails, or there is nothing left to do and the batch is not done.
        StoppedError: Somebody asked to stop.
        IndexUnavailableError: The index of the batch's dictionary cannot be built.
        OSError: The home folder cannot be used.
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
    """
    with installation.ledger.read() as tx:
        language = tx.batches.get(batch_id).registration.settings.language
    installation.prepare_spelling(language)
    home = DagsterHome(installation.settings)
    with stop_asked() as stop, _progress(installation, batch_id):
        while True:
            view = installation.view(batch_id)
            if _nothing_to_wait_for(installation, view):
                return view
            try:
                with home.exclusive("run"), errors_kept(installation.settings.home / _LOG):
                    return _work_here(installation, home, batch_id, stop, checked=checked)
            except HomeInUseError:
                _check(stop)
                time.sleep(_POLL_SECONDS)


def work_and_export(
    installation: Installation, batch_id: str, *, checked: bool = False
) -> tuple[BatchView, Path]:
    """`work_on`, and then the results as files for people; returns where they are.

    Raises:
        BlobStoreError: A result is missing in the store or damaged.
        OSError: The results cannot be written.
    """
    view = work_on(installation, batch_id, checked=checked)
    folder = installation.settings.export_folder / batch_id
    export_batch(installation.ledger, installation.blobs, batch_id, folder)
    return view, folder


def current_tools(installation: Installation) -> Tools:
    """The tools that a run would work with now, with the versions of their code.

    Raises:
        OSError: The word list or the folder of dictionaries cannot be read.
    """
    from huleedu_dagster.resources.extractor import ExtractorResource
    from huleedu_dagster.resources.speller import SpellerResource

    settings = installation.settings
    extractor = ExtractorResource.of(settings).open()
    speller = SpellerResource.of(settings).open()
    versions = CodeVersions.of(
        extraction=extractor.version,
        spelling=speller.version,
        spelling_revision=settings.spelling_revision,
    )
    return Tools(installation.blobs, extractor, speller, versions)


def _work_here(
    installation: Installation,
    home: DagsterHome,
    batch_id: str,
    stop: threading.Event,
    *,
    checked: bool,
) -> BatchView:
    from huleedu_dagster.orchestration.in_process import InProcessDaemon

    with home.instance() as instance, InProcessDaemon(instance) as daemon:
        # Those that a broker handed out may well be executed, by workers that are elsewhere.
        if not installation.settings.broker_url:
            daemon.fail_orphans()
        idle = 0
        while idle < _IDLE_TICKS:
            before = daemon.run_count()
            failed = daemon.failed_run_count()
            _tick(daemon)
            view = installation.view(batch_id)
            if _nothing_to_wait_for(installation, view):
                if checked:
                    _run_checks(daemon, view)
                return view
            _check(stop)
            idle = idle + 1 if daemon.run_count() == before else 0
            if daemon.failed_run_count() > failed:
                # What failed just now is likely to fail again at once.
                time.sleep(installation.settings.retry_delay_seconds)
    raise StuckError(
        "there is nothing left to do, but the batch is not done; "
        "was a sensor stopped in Dagster's pages?"
    )


def _run_checks(daemon: "InProcessDaemon", view: BatchView) -> None:
    """Check every essay of a batch, and audit today."""
    from huleedu_dagster.jobs import AUDIT_JOB, ESSAY_CHECK_JOB
    from huleedu_dagster.partitions import ESSAY_DIMENSION, day_tag, range_tags

    slots = [it.essay_id for it in view.essays if it.essay_id is not None]
    due = {AUDIT_JOB: day_tag(datetime.now(UTC).date())}
    if slots:
        order = list(daemon.instance.get_dynamic_partitions(ESSAY_DIMENSION))
        due[ESSAY_CHECK_JOB] = range_tags(view.batch_id, slots, order)
    for job, tags in due.items():
        if not daemon.launch(job, tags):
            raise StuckError(f"the job {job} failed; see {_LOG} in the home folder")


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise StoppedError("stopped; the same command goes on from here")


def _tick(daemon: "InProcessDaemon") -> None:
    from huleedu_dagster.orchestration.in_process import TickFailedError

    try:
        daemon.tick()
    except TickFailedError as error:
        raise StuckError(f"{error}; see {_LOG} in the home folder") from error


def _nothing_to_wait_for(installation: Installation, view: BatchView) -> bool:
    pending = any(it.outcome is EssayOutcome.PENDING for it in view.essays)
    if view.status not in _DONE and (view.status is not BatchStatus.RECEIVING or pending):
        return False
    return not is_reprocessing(installation.ledger, view.batch_id)


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
