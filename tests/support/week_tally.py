"""What a made-up week is told by: a tally of each day, and a model of each file."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from huleedu_dagster.domain.outcomes import Code


@dataclass
class Tally:
    """What was done, by day.

    Attributes:
        counts: By the names that reports have.
        completion: Seconds from registration to first release.
        since_last_file: Seconds from the last file to that release.
        waited: Seconds from the receipt of a file to its first outcome.
        acts: Who did what to how many.
        hours: Files and outcomes by the hour.
    """

    counts: Counter[str] = field(default_factory=Counter)
    completion: list[float] = field(default_factory=list)
    since_last_file: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    acts: Counter[tuple[str, str]] = field(default_factory=Counter)
    hours: Counter[tuple[int, str]] = field(default_factory=Counter)


@dataclass
class File:
    """A file as it was last handed in under its name."""

    data: bytes
    received_at: datetime
    code: Code | None
    words: int = 0
    wrong: int = 0
    slot: str | None = None
    waits: bool = False
    has_outcome: bool = False
    is_dead: bool = False
