"""The extractor that nothing a file does can hang, exhaust or crash: it reads in other processes.

What comes out is what `DirectExtractor` gives. What would have cost the pipeline its process, its
memory or its time becomes a transient rejection, after a second try in a fresh worker.
"""

import signal
import weakref
from types import TracebackType
from typing import Self

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.direct import DirectExtractor
from huleedu_dagster.extraction.dispatch import extract_bytes
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_pool import WorkerPool
from huleedu_dagster.extraction.sandbox_processes import (
    WorkerDiedError,
    WorkerTimeoutError,
)
from huleedu_dagster.extraction.sandbox_wire import (
    EXIT_BROKEN_INSTALLATION,
    EXIT_OUT_OF_MEMORY,
    request_frame,
)


class SandboxedExtractor:
    """Reads files in a small pool of worker processes that can be killed; safe to share.

    Threads share its workers; a process that is forked gets its own. Its processes start with the
    first file and end with `close`, with the object, or with this process, however that ends.
    """

    def __init__(
        self, limits: ExtractionLimits | None = None, sandbox: SandboxLimits | None = None
    ) -> None:
        """Use the given limits, or the standard ones. Starts nothing.

        Args:
            limits: Caps on one file.
            sandbox: Limits on the workers.
        """
        self._limits = limits if limits is not None else ExtractionLimits()
        self._sandbox = sandbox if sandbox is not None else SandboxLimits()
        self._pool = WorkerPool(self._limits, self._sandbox)
        self._finalizer = weakref.finalize(self, self._pool.close)

    @property
    def version(self) -> str:
        """That of `DirectExtractor`: the workers' limits never change a text."""
        return DirectExtractor(self._limits).version

    @property
    def worker_pids(self) -> frozenset[int]:
        """Process ids of the workers there are; one that is made for later is not among them."""
        return self._pool.pids

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """Extract the text of `data`; see `Extractor.extract`.

        Waits for a free worker, then at most twice `wall_seconds`.

        Raises:
            OSError: No worker can be started, the installation is broken, or this is closed.
        """
        if len(data) > self._limits.max_input_bytes:
            # Refused by its size before anything is read, so it need not be sent anywhere.
            return extract_bytes(data, suffix, self._limits)
        request = request_frame(data, suffix)
        found = self._attempt(request, fresh=False)
        if not found.transient:
            return found
        return self._attempt(request, fresh=True)

    def close(self) -> None:
        """End all processes and wait until they are gone; what is being read fails."""
        self._finalizer()

    def __enter__(self) -> Self:
        """Itself, to be closed at the end of a block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _attempt(self, request: bytes, *, fresh: bool) -> Extraction:
        with self._pool.worker(fresh=fresh) as worker:
            try:
                return worker.ask(request, self._limits, self._sandbox.wall_seconds)
            except WorkerTimeoutError:
                found = f"stopped after {self._sandbox.wall_seconds:g} s"
                return _transient(Code.TIMEOUT, found)
            except WorkerDiedError as error:
                return _of_death(error.exit_code)


def _of_death(exit_code: int | None) -> Extraction:
    if exit_code == EXIT_BROKEN_INSTALLATION:
        raise OSError("a reader of the installation is broken")
    if exit_code == -signal.SIGPROF:
        return _transient(Code.TIMEOUT, "used up its processor time")
    if exit_code in (-signal.SIGABRT, EXIT_OUT_OF_MEMORY):
        return _transient(Code.TOO_LARGE, "out of memory")
    return _transient(Code.PARSER_CRASHED, f"the reader ended {_ending(exit_code)}")


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "without a trace"
    if exit_code >= 0:
        return f"with exit code {exit_code}"
    try:
        return f"by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"by signal {-exit_code}"


def _transient(code: Code, message: str) -> Extraction:
    return Extraction(code=code, message=message, transient=True)
