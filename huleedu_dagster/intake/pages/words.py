"""Values as people read them: moments, sizes, ages, and the words for every state."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from huleedu_dagster.domain.completeness import BatchStatus, ClosedBy
from huleedu_dagster.domain.file_names import shortened, visible
from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.pipeline.views import BatchView

LANGUAGES = {
    "ar": "Arabic",
    "da": "Danish",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "eu": "Basque",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "it": "Italian",
    "lv": "Latvian",
    "nb": "Norwegian Bokmål",
    "nl": "Dutch",
    "nn": "Norwegian Nynorsk",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
}

STATUSES: Mapping[BatchStatus, tuple[str, str]] = {
    BatchStatus.RECEIVING: (
        "Taking essays",
        "Essays can be handed in, and are checked as they come.",
    ),
    BatchStatus.PROCESSING: (
        "Being checked",
        "No more essays are expected; the last results are on their way.",
    ),
    BatchStatus.READY: (
        "Ready",
        "Every essay has its result, and the batch has been handed on.",
    ),
    BatchStatus.INCOMPLETE: (
        "Incomplete",
        "Something is missing or stuck, so the batch has not been handed on.",
    ),
}
"""What a status is called, and what it means."""

OUTCOMES: Mapping[EssayOutcome, str] = {
    EssayOutcome.ACCEPTED: "Accepted",
    EssayOutcome.REJECTED: "Rejected",
    EssayOutcome.DEAD_LETTERED: "Stuck",
    EssayOutcome.EXCESS: "Not counted",
    EssayOutcome.PENDING: "Waiting",
    EssayOutcome.WAIVED: "Waived",
}

CLOSED: Mapping[ClosedBy, str] = {
    ClosedBy.FULL: "all expected essays came",
    ClosedBy.REQUEST: "someone closed it",
    ClosedBy.DEADLINE: "its deadline passed",
    ClosedBy.TIMEOUT: "its time was over",
    ClosedBy.QUIET: "nothing more came",
}
"""Why a batch takes no more essays."""

_STEPS = ((60, 1, "s"), (3_600, 60, "min"), (86_400, 3_600, "h"))
_DAY_SECONDS = 86_400


def age(seconds: float) -> str:
    """A time in the largest unit that fits: `12 s`, `3 min`, `5 h`, `2 days`."""
    whole = max(0, int(seconds))
    for below, unit, name in _STEPS:
        if whole < below:
            return f"{whole // unit} {name}"
    return counted(whole // _DAY_SECONDS, "day")


def size(count: int) -> str:
    """A number of bytes in decimal units: `812 bytes`, `47 kB`, `1.2 MB`."""
    if count < 1_000:
        return counted(count, "byte")
    if count < 999_500:
        return f"{count / 1_000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def moment(value: datetime) -> str:
    """A moment in UTC, to the minute."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def iso(value: datetime) -> str:
    """A moment as machines read it, in UTC, to the second."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 essay`, `2 essays`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def language(code: str) -> str:
    """The name of a language, or its code where it has none here."""
    return LANGUAGES.get(code, code)


def status_meaning(view: BatchView) -> str:
    """What the status of a batch means; of a ready one also how many essays were rejected."""
    meaning = STATUSES[view.status][1]
    if view.status is not BatchStatus.READY or not view.rejected:
        return meaning
    was = "was" if view.rejected == 1 else "were"
    return f"{meaning} {counted(view.rejected, 'essay')} {was} rejected: see below what to do."


WORDS: Mapping[str, Callable[..., Any]] = {
    "age": age,
    "closed_because": CLOSED.__getitem__,
    "counted": counted,
    "iso": iso,
    "language": language,
    "moment": moment,
    "outcome_word": OUTCOMES.__getitem__,
    "shortened": shortened,
    "size": size,
    "status_meaning": status_meaning,
    "status_word": lambda status: STATUSES[status][0],
    "visible": visible,
}
"""Filters of the templates."""
