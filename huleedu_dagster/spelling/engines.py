"""The engines: the exact index, and the library itself as its yardstick. Same answers, both."""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from huleedu_dagster.domain.keys import hash_of
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dictionaries import Dictionary, installed_languages
from huleedu_dagster.spelling.index import Progress

_SUFFIX = ".json.gz"


class Engine(Protocol):
    """Where dictionaries come from."""

    @property
    def version(self) -> str:
        """Name and revision, and a hash of all dictionaries with their library's version."""
        ...

    @property
    def languages(self) -> frozenset[str]:
        """The languages (ISO 639-1) there are dictionaries for."""
        ...

    def open(self, language: str, progress: Progress | None = None) -> CandidateSource:
        """The dictionary of a language, the same one for every caller of this process.

        Args:
            language: ISO 639-1 code.
            progress: Told when it takes seconds.

        Raises:
            DictionaryError: There is no dictionary for `language`, or it is damaged.
            OSError: It cannot be read.
        """
        ...


class _WithOwnDictionaries:
    """What the engines share: the library's dictionaries, and before them those of one's own."""

    def __init__(self, own: Path | None = None) -> None:
        """Open nothing.

        Args:
            own: Folder with dictionaries of one's own (`sv.json.gz`), which go before the
                library's.
        """
        self._own = own

    @property
    def languages(self) -> frozenset[str]:
        """See `Engine.languages`."""
        return _languages(self._own)


class IndexEngine(_WithOwnDictionaries):
    """The engine of the product: pyspellchecker's answers from an index on disk."""

    def __init__(self, cache_folder: Path, own: Path | None = None) -> None:
        """Use indexes of a folder; nothing is opened.

        Args:
            cache_folder: Where indexes are kept; what is missing is built on first use.
            own: Folder with dictionaries of one's own (`sv.json.gz`), which go before the
                library's.
        """
        super().__init__(own)
        self._folder = cache_folder

    @property
    def version(self) -> str:
        """See `Engine.version`."""
        from huleedu_dagster.spelling.engine import REVISION

        return f"index/{REVISION} {_version_of_all(self._own)}"

    def open(self, language: str, progress: Progress | None = None) -> CandidateSource:
        """See `Engine.open`; an index that is missing is built, which takes seconds.

        Raises:
            DictionaryError: There is no dictionary for `language`, or it is damaged.
            IndexUnavailableError: There is no whole index and it cannot be built.
            OSError: The dictionary cannot be read.
        """
        dictionary = _dictionary(language, self._own)
        key = (dictionary, self._folder)
        if key not in _OPENED:
            from huleedu_dagster.spelling.engine import IndexCandidates

            _OPENED[key] = IndexCandidates.open(dictionary, self._folder, progress)
        return _OPENED[key]


class ReferenceEngine(_WithOwnDictionaries):
    """pyspellchecker itself: a third of a second for each new misspelled word."""

    @property
    def version(self) -> str:
        """See `Engine.version`."""
        from huleedu_dagster.spelling.reference_candidates import REVISION

        return f"reference/{REVISION} {_version_of_all(self._own)}"

    def open(self, language: str, progress: Progress | None = None) -> CandidateSource:
        """See `Engine.open`; it takes less than a second.

        Raises:
            DictionaryError: There is no dictionary for `language`, or it is damaged.
            OSError: It cannot be read.
        """
        return _reference(_dictionary(language, self._own))


_OPENED: dict[tuple[Dictionary, Path], CandidateSource] = {}


@cache
def _reference(dictionary: Dictionary) -> CandidateSource:
    from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates

    return ReferenceCandidates(dictionary)


def _languages(own: Path | None) -> frozenset[str]:
    return installed_languages() | _own_dictionaries(own).keys()


def _own_dictionaries(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    # Unlike `glob`, this raises when the folder is missing or cannot be listed.
    found = sorted(folder.iterdir())
    return {it.name.removesuffix(_SUFFIX): it for it in found if it.name.endswith(_SUFFIX)}


def _dictionary(language: str, own: Path | None) -> Dictionary:
    path = _own_dictionaries(own).get(language)
    if path is not None:
        return Dictionary.own(language, path)
    return _installed(language)


@cache
def _installed(language: str) -> Dictionary:
    return Dictionary.installed(language)


def _version_of_all(own: Path | None) -> str:
    found = {it: _dictionary(it, own).sha256 for it in sorted(_languages(own))}
    return f"pyspellchecker={version('pyspellchecker')} dict={hash_of(found)[:12]}"
