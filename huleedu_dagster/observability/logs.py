"""Log lines of every process: one configuration, the same keys, nothing that is private.

Whoever logs uses the standard library: a short `event` as the message and keys in `extra`. Nothing
heavy is imported before the first line is written.
"""

import io
import logging
import logging.config
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from huleedu_dagster.settings import Settings

SHOWN = "huleedu_dagster.shown"
"""Logger whose lines Dagster shows on the page of their run, too; for warnings and errors."""

_OURS = ("huleedu", "huleedu_dagster")
_QUIET = logging.CRITICAL
_LOG = logging.getLogger("huleedu_dagster.process")


def configure(log_format: str, level: int | str, *, stream: TextIO | None = None) -> None:
    """Write the lines of all loggers of this process in one form.

    Args:
        log_format: `json`, `console`, or `auto`: console on a terminal and JSON everywhere else.
        level: The least important of our own lines that are written, as `logging` names it. Of
            libraries there are warnings and errors alone: their other lines may quote.
        stream: Where lines go; standard error if `None`.
    """
    level = logging.getLevelName(level.upper()) if isinstance(level, str) else level
    handler = LineHandler(log_format, stream)
    handler.setLevel(level)
    root = logging.getLogger()
    for old in [it for it in root.handlers if isinstance(it, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(min(level, logging.WARNING))
    # Programs that are run inside bring configurations: their lines go the way of all others.
    logging.config.dictConfigClass = _LinesToRoot


def configure_service(settings: Settings) -> None:
    """Configure a process that nobody watches: what ends a thread or the process is a line, too."""
    configure_foreground(settings)
    threading.excepthook = _thread_failed
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warned


def configure_foreground(settings: Settings) -> None:
    """Configure a command that goes on for long: what ends it is a line."""
    configure(settings.log_format, settings.log_level)
    sys.excepthook = _process_failed


def configure_command(settings: Settings) -> None:
    """Configure a command that tells people what it does: lines only for who asked for a level."""
    asked = "log_level" in settings.model_fields_set
    configure(settings.log_format, settings.log_level if asked else _QUIET)


def shown(name: str) -> logging.Logger:
    """A logger whose warnings and errors Dagster shows on the page of their run.

    Args:
        name: The end of its name.
    """
    logger = logging.getLogger(f"{SHOWN}.{name}")
    # Dagster gives its own level to the logger above.
    logger.setLevel(logging.WARNING)
    return logger


@contextmanager
def bound(**keys: Any) -> Iterator[None]:
    """Give keys to every line that is written inside the block, in this thread or task.

    A thread that is started inside has them only if it runs in a copy of the context.
    """
    from structlog.contextvars import bound_contextvars

    with bound_contextvars(**keys):
        yield


@contextmanager
def errors_kept(file: Path) -> Iterator[None]:
    """Keep the lines of errors inside the block in a file, whatever else becomes of them.

    Args:
        file: Written at the end of the block, if there are any.
    """
    stream = io.StringIO()
    handler = LineHandler("json", stream)
    handler.setLevel(logging.ERROR)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        # What ends the block is to be told, even where there is no room for its log.
        with suppress(OSError):
            _write(file, stream.getvalue())


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines; what makes them is loaded for the first.

    Args:
        log_format: See `configure`.
        stream: See `configure`.
    """

    def __init__(self, log_format: str, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._log_format = log_format
        self._lines: logging.Formatter | None = None
        self._safe_copy: Callable[[logging.LogRecord], logging.LogRecord] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record, if there is anything to write it to."""
        stream: TextIO | None = self.stream
        # A process may be started without a standard error.
        if stream is not None:
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if self._lines is None or self._safe_copy is None:
            from huleedu_dagster.observability.log_lines import line_formatter, safe_copy

            terminal = self.stream.isatty()
            as_json = self._log_format == "json" or (self._log_format == "auto" and not terminal)
            colours = terminal and not os.environ.get("NO_COLOR")
            self._lines = line_formatter(as_json=as_json, colours=colours)
            self._safe_copy = safe_copy
        return self._lines.format(self._safe_copy(record))

    def filter(self, record: logging.LogRecord) -> bool:
        """Leave out what libraries say beside warnings and errors; Dagster sets its own levels."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] not in _OURS:
            return False
        return bool(super().filter(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say that a line was lost; the standard library would print what it was made from."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            # The disk is full, or nobody reads the stream any more.
            return
        line = f'{{"event": "line lost", "logger": "{record.name}", '
        # Closed, or it takes nothing: no work stops for a line.
        with suppress(OSError, ValueError):
            self.stream.write(line + f'"reason": "{type(error).__name__}"}}{self.terminator}')
            self.flush()


def _write(file: Path, lines: str) -> None:
    if lines:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(lines)


class _LinesToRoot(logging.config.DictConfigurator):
    """Lets the lines of the loggers that a configuration names go to the handler of the root."""

    def configure(self) -> None:
        """Take handlers away and add none."""
        for name in self.config.get("loggers", {}):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.NOTSET)


def _process_failed(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _LOG.critical("process failed", exc_info=(kind, error, trace))


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None and not issubclass(failed.exc_type, SystemExit):
        _LOG.error("thread failed", exc_info=failed.exc_value)


def _unraisable(found: "sys.UnraisableHookArgs") -> None:
    if found.exc_value is not None:
        _LOG.error("error ignored", exc_info=found.exc_value)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    place = filename.rpartition("/")[2]
    _LOG.warning("warning", extra={"reason": category.__name__, "place": f"{place}:{lineno}"})
