"""The extractor that works in its own process; a hang or a crash of a parser is not caught."""

from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version as installed_version

from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.extraction.dispatch import extract_bytes
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction

READER_REVISION = 2
"""Raised by hand whenever a change to a reader changes the text of some file."""

_LIBRARIES = (
    "chardet",
    "lxml",
    "markdown-it-py",
    "olefile",
    "pypdfium2",
    "selectolax",
    "striprtf",
)


class DirectExtractor:
    """Reads files in the calling process. For tests, and as the inside of a guarded worker."""

    def __init__(self, limits: ExtractionLimits | None = None) -> None:
        """Use the given limits, or the standard ones."""
        self._limits = limits if limits is not None else ExtractionLimits()

    @cached_property
    def version(self) -> str:
        """Revision of the readers, versions of their libraries, and a hash of the limits.

        The limits belong to it because what was too large under one limit may fit another.
        """
        libraries = (f"{name}={installed_version(name)}" for name in _LIBRARIES)
        limits = hash_of(asdict(self._limits))[:8]
        return f"readers={READER_REVISION} {' '.join(libraries)} limits={limits}"

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """Extract the text of `data`; see `Extractor.extract`. Never raises for bad input."""
        return extract_bytes(data, suffix, self._limits)
