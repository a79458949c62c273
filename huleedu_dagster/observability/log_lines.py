"""How a log line looks: one JSON object, or coloured words for people on a terminal.

Brings structlog, so it is imported when the first line is written.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

OURS = ("huleedu", "huleedu_dagster")
"""Loggers whose lines are written by this project, which never puts into them what is private."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_DAGSTER = "dagster_meta"
_MOST_FRAMES = 12
_MOST_CAUSES = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LOGIN = re.compile(r"(?<=://)[^/\s@]*@")
_TOKEN = re.compile(r"\bhul_[A-Za-z0-9_-]+")
_WARNING = re.compile(r"^\S*?([^/\\\s]+:\d+: \w*Warning): .*$", re.DOTALL)
_REPR_OF_ERROR = re.compile(r"(\w+)\(.*", re.DOTALL)
_ON_ITS_OWN = re.compile(r"\s*\n(?=%[rs])")
_OMITTED = "…"
_QUOTING = frozenset({"args", "kwargs", "return_value", "traceback"})
"""What Celery brings to its lines of a task, beside its error."""
_PLACES = ("site-packages/", f"{OURS[1]}/")


def line_formatter(*, as_json: bool, colours: bool) -> logging.Formatter:
    """What makes lines of the records of every logger.

    Args:
        as_json: Whether a line is a JSON object; else it is for people.
        colours: Whether those are shown colours.
    """
    renderer: Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=0)
    shaped = [] if as_json else [_without_control]
    return ProcessorFormatter(
        foreign_pre_chain=[structlog.contextvars.merge_contextvars, _told],
        processors=[ProcessorFormatter.remove_processors_meta, *shaped, renderer],
    )


def _told(_logger: Any, _method: str, event_dict: EventDict) -> EventDict:
    """The keys of a line, those that every line has first."""
    record: logging.LogRecord = event_dict["_record"]
    error = event_dict.pop("exc_info", None)
    for name in ("event", "stack_info"):
        event_dict.pop(name, None)
    moment = datetime.fromtimestamp(record.created, UTC)
    return {
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": _CONTROL.sub(" ", record.msg),
        **event_dict,
        **_keys(record),
        **_of_error(error),
    }


def _without_control(_logger: Any, _method: str, event_dict: EventDict) -> EventDict:
    """Values that end no line and steer no terminal; JSON writes them in its own way."""
    return {
        name: _CONTROL.sub(" ", it) if isinstance(it, str) else it
        for name, it in event_dict.items()
    }


def safe_copy(record: logging.LogRecord) -> logging.LogRecord:
    """The record with a message that quotes nobody.

    What this project writes is taken as it is. A library may have put an error's message into its
    own: of that its first line is kept, with classes in place of errors.
    """
    copied = logging.makeLogRecord(vars(record))
    copied.msg, copied.args = _message(record), ()
    return copied


def _message(record: logging.LogRecord) -> str:
    # Dagster writes its own words before the message of what it was asked to keep.
    told = vars(record).get(_DAGSTER)
    if isinstance(told, Mapping) and "orig_message" in told:
        return str(told["orig_message"])
    if _is_ours(record.name):
        return record.getMessage()
    if isinstance(record.msg, BaseException):
        return type(record.msg).__name__
    args = record.args
    if isinstance(args, Mapping):
        args = {name: _harmless_named(name, it) for name, it in args.items()}
    elif args:
        args = tuple(_harmless(it) for it in args)
    try:
        # An error on a line of its own is a class by now.
        text = _ON_ITS_OWN.sub(" ", str(record.msg)) % args if args else str(record.msg)
    except (KeyError, TypeError, ValueError):
        text = str(record.msg)
    return _masked(text)


def _class_if_error(value: object) -> object:
    if isinstance(value, BaseException):
        return type(value).__name__
    # Dagster's form of an error, which begins with its message.
    return getattr(value, "cls_name", None) or value


def _harmless(argument: object) -> object:
    # The path of a file or of an object: clients tell it when they try again.
    is_path = isinstance(argument, str) and argument.startswith("/")
    if is_path or isinstance(argument, PurePath):
        return f"/{_OMITTED}"
    return _class_if_error(argument)


def _harmless_named(name: str, argument: object) -> object:
    if name == "exc" and isinstance(argument, str):
        found = _REPR_OF_ERROR.fullmatch(argument)
        return found.group(1) if found else _OMITTED
    return _OMITTED if name in _QUOTING else _harmless(argument)


def _masked(text: str) -> str:
    if text.startswith("Traceback"):
        # Its last line has the class, and then the message.
        text = text.strip().rpartition("\n")[2].partition(":")[0]
    # Of a warning its class and place; of anything else what stands before a quoted trace.
    text = _WARNING.sub(r"\1", text).strip().partition("\n")[0]
    return _TOKEN.sub("hul_…", _LOGIN.sub("…@", text))


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def _keys(record: logging.LogRecord) -> dict[str, Any]:
    """What a line says beside its message; libraries add what they please, and that is left out."""
    found: dict[str, Any] = {}
    told = vars(record).get(_DAGSTER)
    if isinstance(told, Mapping) and told.get("run_id"):
        found["run_id"] = told["run_id"]
    if _is_ours(record.name):
        extra = {name: it for name, it in vars(record).items() if name not in _STANDARD}
        error = extra.pop("error", None)
        found.update(
            (name, _class_if_error(it)) for name, it in extra.items() if _is_told(name, it)
        )
        found.update(_of_error(error))
    return found


def _is_told(name: str, value: object) -> bool:
    return value is not None and not name.startswith(("_", "dagster_"))


def _of_error(found: object) -> dict[str, Any]:
    """An error by class and place, with those that led to it; never by its message."""
    if found is True:
        found = sys.exc_info()
    if isinstance(found, BaseException):
        found = (type(found), found, found.__traceback__)
    if not isinstance(found, tuple) or found[1] is None:
        return {}
    return error_keys(found[1], found[2])


def error_keys(error: BaseException, trace: TracebackType | None = None) -> dict[str, Any]:
    """What a line says of an error.

    Args:
        error: The error.
        trace: Where it came through, if that is not in the error itself.
    """
    keys: dict[str, Any] = {
        "reason": type(error).__name__,
        "trace": list(_frames(trace or error.__traceback__)),
    }
    causes = [
        {"reason": type(it).__name__, "trace": list(_frames(it.__traceback__))}
        for it in _causes(error)
    ]
    return {**keys, "causes": causes} if causes else keys


def _causes(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        yield from error.exceptions[:_MOST_CAUSES]
    seen = {id(error)}
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        assert found is not None
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
        # An error may be its own cause.
        if found is None or id(found) in seen:
            return
        seen.add(id(found))
        yield found


def _frames(trace: TracebackType | None) -> list[str]:
    found = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{_place(code.co_filename)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    # The last are where it happened.
    return found[-_MOST_FRAMES:]


def _place(file: str) -> str:
    """The file without the folders of this machine."""
    path = Path(file).as_posix()
    for place in _PLACES:
        _, found, behind = path.rpartition(place)
        if found:
            return f"{OURS[1]}/{behind}" if place.startswith(OURS[1]) else behind
    return path.rpartition("/")[2]
