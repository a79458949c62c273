"""The lines that this process writes, as whoever collects them reads them."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from huleedu_dagster.observability.logs import LineHandler

_OURS = ("huleedu", "huleedu_dagster")


@dataclass
class Lines:
    """What was written so far."""

    stream: io.StringIO = field(default_factory=io.StringIO)

    @property
    def text(self) -> str:
        """As it was written."""
        return self.stream.getvalue()

    def __call__(self, **keys: Any) -> list[dict[str, Any]]:
        """The lines that say this, among other things."""
        found = [json.loads(it) for it in self.text.splitlines()]
        return [it for it in found if keys.items() <= it.items()]

    def of(self, logger: str, **keys: Any) -> list[dict[str, Any]]:
        """Those of a logger and of all below it."""
        found = self(**keys)
        return [it for it in found if f"{it['logger']}.".startswith(f"{logger}.")]


@contextmanager
def captured(level: int = logging.DEBUG, log_format: str = "json") -> Iterator[Lines]:
    """Capture the lines that are written inside the block, in any thread."""
    lines = Lines()
    handler = LineHandler(log_format, lines.stream)
    loggers = [logging.getLogger(), *(logging.getLogger(it) for it in _OURS)]
    before = [it.level for it in loggers]
    loggers[0].addHandler(handler)
    for logger in loggers[1:]:
        logger.setLevel(level)
    try:
        yield lines
    finally:
        loggers[0].removeHandler(handler)
        for logger, old in zip(loggers, before, strict=True):
            logger.setLevel(old)
