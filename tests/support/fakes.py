"""Fakes for the outer boundary: a clock, a speller, extractors and a store that fails."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from huleedu_dagster.extraction.port import Extraction, Extractor
from huleedu_dagster.spelling.port import (
    Confidence,
    Correction,
    Reason,
    SpellcheckReport,
    SpellingOptions,
)
from huleedu_dagster.storage.port import BlobStore, BlobWriter

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
FOREVER = 1_000_000
_SURE = (Confidence.CERTAIN, Reason.ONLY_CANDIDATE)
_WORD = re.compile(r"[^\W\d_]+")


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """The time it shows."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += timedelta(seconds=seconds)


class CheapSpeller:
    """A `Speller` that flags the words of a fixed set and suggests them in capitals.

    Attributes:
        calls: How many texts it was asked to check.
    """

    def __init__(self, wrong: frozenset[str] = frozenset({"teh"}), version: str = "cheap") -> None:
        self._wrong = wrong
        self._version = version
        self.calls = 0

    @property
    def version(self) -> str:
        """See `Speller.version`."""
        return self._version

    @property
    def languages(self) -> frozenset[str]:
        """See `Speller.languages`."""
        return frozenset({"en", "sv"})

    def check(self, text: str, options: SpellingOptions) -> SpellcheckReport:
        """See `Speller.check`."""
        if options.language not in self.languages:
            raise ValueError("this language cannot be checked")
        self.calls += 1
        flagged = self._wrong - options.accepted_words
        words = list(_WORD.finditer(text))
        found = [
            Correction(it.start(), len(it[0]), it[0], (it[0].upper(),), *_SURE, applied=True)
            for it in words
            if it[0].lower() in flagged
        ]
        corrected = _WORD.sub(lambda it: it[0].upper() if it[0].lower() in flagged else it[0], text)
        return SpellcheckReport(corrected, tuple(found), len(words))


class CountingExtractor:
    """Another extractor, counted.

    Attributes:
        calls: How many files it was asked to read.
    """

    def __init__(self, inner: Extractor) -> None:
        self._inner = inner
        self.calls = 0

    @property
    def version(self) -> str:
        """See `Extractor.version`."""
        return self._inner.version

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """See `Extractor.extract`."""
        self.calls += 1
        return self._inner.extract(data, suffix)


class ScriptedExtractor:
    """An `Extractor` that gives prepared results (or raises them) in turn, the last for ever."""

    def __init__(self, *script: Extraction | Exception, version: str = "scripted") -> None:
        self._script: Sequence[Extraction | Exception] = script
        self._version = version
        self.calls = 0

    @property
    def version(self) -> str:
        """See `Extractor.version`."""
        return self._version

    def extract(self, data: bytes, suffix: str) -> Extraction:
        """See `Extractor.extract`."""
        found = self._script[min(self.calls, len(self._script) - 1)]
        self.calls += 1
        if isinstance(found, Exception):
            raise found
        return found


class FlakyBlobStore:
    """A blob store that fails a number of times, then works.

    Args:
        inner: The store that works.
        fail_times: How often each operation on keys that begin with a prefix raises `OSError`:
            `put` (the commit of a writer, too), `write` (to a writer), `secure`, `get`, `has`,
            `keys` (the prefix is what is listed).
    """

    def __init__(
        self, inner: BlobStore, fail_times: Mapping[tuple[str, str], int] | None = None
    ) -> None:
        self._inner = inner
        self._left = dict(fail_times or {})

    def fail(self, operation: str, prefix: str, times: int = FOREVER) -> None:
        """Let an operation on keys with this prefix fail from now on, `times` times."""
        self._left[operation, prefix] = times

    def put(self, key: str, data: bytes) -> None:
        """See `BlobStore.put`."""
        self._maybe_fail("put", key)
        self._inner.put(key, data)

    def writer(self, key: str) -> "FlakyBlobWriter":
        """See `BlobStore.writer`."""
        return FlakyBlobWriter(self._inner.writer(key), key, self._maybe_fail)

    def secure(self, keys: Iterable[str]) -> None:
        """See `BlobStore.secure`."""
        found = list(keys)
        for key in found:
            self._maybe_fail("secure", key)
        self._inner.secure(found)

    def get(self, key: str, sha256: str) -> bytes:
        """See `BlobStore.get`."""
        self._maybe_fail("get", key)
        return self._inner.get(key, sha256)

    def pieces(self, key: str, sha256: str) -> Iterator[bytes]:
        """See `BlobStore.pieces`."""
        self._maybe_fail("get", key)
        return self._inner.pieces(key, sha256)

    def has(self, key: str) -> bool:
        """See `BlobStore.has`."""
        self._maybe_fail("has", key)
        return self._inner.has(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """See `BlobStore.keys`."""
        self._maybe_fail("keys", prefix)
        return self._inner.keys(prefix)

    def _maybe_fail(self, operation: str, key: str) -> None:
        for (name, prefix), left in self._left.items():
            if name == operation and key.startswith(prefix) and left > 0:
                self._left[name, prefix] = left - 1
                raise OSError("the store is away")


class FlakyBlobWriter:
    """The writer of a `FlakyBlobStore`."""

    def __init__(self, inner: BlobWriter, key: str, maybe_fail: Callable[[str, str], None]) -> None:
        self._inner = inner
        self._key = key
        self._maybe_fail = maybe_fail

    @property
    def sha256(self) -> str:
        """See `BlobWriter.sha256`."""
        return self._inner.sha256

    @property
    def size(self) -> int:
        """See `BlobWriter.size`."""
        return self._inner.size

    def write(self, chunk: bytes) -> None:
        """See `BlobWriter.write`."""
        self._maybe_fail("write", self._key)
        self._inner.write(chunk)

    def commit(self, *, secure: bool = True) -> None:
        """See `BlobWriter.commit`."""
        self._maybe_fail("put", self._key)
        self._inner.commit(secure=secure)

    def __enter__(self) -> Self:
        """See `BlobWriter.__enter__`."""
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """See `BlobWriter.__exit__`."""
        self._inner.__exit__(kind, error, trace)
