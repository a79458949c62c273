"""The search for corrections against pyspellchecker, symspellpy, and for a thousand essays."""

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from benchmarks.framework import Benchmark, Case, Elsewhere, Side
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.index import Progress
from huleedu_dagster.spelling.port import SpellingOptions
from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates
from huleedu_dagster.spelling.speller import DictionarySpeller
from tests.unit.spelling.misspellings import COMMON, damaged, edited

MIXED = 100
CLASS = 600
ESSAYS = 1000
ESSAY_WORDS = 500
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_OURS = """
import json, sys
from pathlib import Path
from huleedu_dagster.spelling.candidates import CandidateSource
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
index = IndexCandidates.open(Dictionary.installed("en"), Path(sys.argv[1]))
for word in json.loads(Path(sys.argv[2]).read_text()):
    index.candidates(word)
"""
_SYMSPELL = """
import json, sys
from pathlib import Path
from symspellpy import SymSpell, Verbosity
index = SymSpell(max_dictionary_edit_distance=2)
index.load_pickle(Path(sys.argv[1]) / "symspell.pickle")
for word in json.loads(Path(sys.argv[2]).read_text()):
    index.lookup(word, Verbosity.CLOSEST, max_edit_distance=2)
"""
_PEAK = """
if sys.platform == "linux":
    print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


class OneEdit(ReferenceCandidates):
    """pyspellchecker at distance 1, which finds less."""

    def __init__(self, dictionary: Dictionary) -> None:
        """Load the dictionary."""
        super().__init__(dictionary)
        self._checker.distance = 1


@dataclass(frozen=True, slots=True)
class OneDictionary:
    """An `Engine` with English alone."""

    source: CandidateSource

    @property
    def version(self) -> str:
        """That of the dictionary."""
        return self.source.version

    @property
    def languages(self) -> frozenset[str]:
        """English."""
        return frozenset({"en"})

    def open(self, language: str, progress: Progress | None = None) -> CandidateSource:
        """The dictionary, whatever is asked for."""
        return self.source


def benchmarks() -> list[Benchmark]:
    """The benchmarks of spelling."""
    ours = "the index, two tiers"
    return [
        Benchmark(
            name="spelling-vs-reference",
            subject=Side(ours, _mixed_words(open_index)),
            baseline=Side("pyspellchecker at distance 2", _mixed_words(reference)),
            note=(
                f"candidates of {MIXED} English misspellings, half of which have one at a distance "
                "of 1; opening and loading are not timed"
            ),
            target=800,
            rounds=1,
        ),
        Benchmark(
            name="spelling-vs-symspellpy",
            subject=Side(f"{ours}, in a new process", _new_process(_OURS)),
            baseline=Side("symspellpy with its own file, likewise", _new_process(_SYMSPELL)),
            note=(
                f"candidates of {CLASS} misspellings, the same dictionary; starting, importing and "
                "opening are timed, building either index is not; symspellpy's distance is another "
                "one and differs for some words"
            ),
            target=1,
            rounds=3,
        ),
        Benchmark(
            name="spelling-1000-essays",
            subject=Side("the speller over the index", _thousand_essays(open_index)),
            baseline=Side("over pyspellchecker at distance 1", _thousand_essays(one_edit)),
            note=(
                f"{ESSAYS} essays of {ESSAY_WORDS} words, 4 % damaged, checked by the speller with "
                "all its rules, one after the other, each misspelling searched once; opening and "
                "loading are not timed"
            ),
            most_subject_cpu_seconds=4,
            rounds=1,
        ),
    ]


def open_index() -> IndexCandidates:
    """The index for English, remembering nothing."""
    return IndexCandidates.open(Dictionary.installed("en"), folder())


@cache
def reference() -> ReferenceCandidates:
    """pyspellchecker for English."""
    return ReferenceCandidates(Dictionary.installed("en"))


@cache
def one_edit() -> OneEdit:
    """pyspellchecker for English at distance 1."""
    return OneEdit(Dictionary.installed("en"))


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="bench-spelling-")


def folder() -> Path:
    """Where indexes are kept until this process ends."""
    return Path(_folder().name)


@cache
def symspell() -> Any:
    """symspellpy with the same dictionary; its file is in `folder`."""
    from symspellpy import SymSpell

    index = SymSpell(max_dictionary_edit_distance=2)
    for word, count in Dictionary.installed("en").counts().items():
        index.create_dictionary_entry(word, count)
    index.save_pickle(folder() / "symspell.pickle")
    return index


@cache
def mixed_words(size: int) -> tuple[str, ...]:
    """Misspellings, common ones and damaged words; half have a candidate at one edit.

    The library answers those in a millisecond; the other half takes it half a second each.
    """
    index, generator = open_index(), random.Random(size)
    drawn = damaged(_drawn(5000), _LETTERS, generator, (1, 2))
    near: list[str] = []
    far: list[str] = []
    for word in chain(generator.sample(COMMON, len(COMMON)), drawn):
        if index.known(word):
            continue
        half = near if index.within(word, 1) else far
        if len(half) < size // 2:
            half.append(word)
        elif len(near) == len(far):
            break
    found = [*near, *far]
    generator.shuffle(found)
    return tuple(found)


@cache
def essays() -> tuple[str, ...]:
    """Texts of words drawn by their frequency, one in 25 of them damaged."""
    generator = random.Random(ESSAYS)
    words = [
        edited(word, _LETTERS, generator) if generator.random() < 0.04 else word
        for word in _drawn(ESSAYS * ESSAY_WORDS)
    ]
    return tuple(
        " ".join(words[start : start + ESSAY_WORDS]) for start in range(0, len(words), ESSAY_WORDS)
    )


def _drawn(size: int) -> list[str]:
    counts = Dictionary.installed("en").counts()
    running = list(accumulate(counts.values()))
    return random.Random(size).choices(list(counts), cum_weights=running, k=size)


def _mixed_words(source: Callable[[], CandidateSource]) -> Case:
    @contextmanager
    def case(_: Path) -> Iterator[Callable[[], object]]:
        words, engine = mixed_words(MIXED), source()
        yield lambda: [engine.candidates(word) for word in words]

    return case


def _thousand_essays(source: Callable[[], CandidateSource]) -> Case:
    @contextmanager
    def case(_: Path) -> Iterator[Callable[[], object]]:
        texts, speller = essays(), DictionarySpeller(OneDictionary(source()))
        options = SpellingOptions(language="en")
        speller.check("", options)
        yield lambda: [speller.check(text, options) for text in texts]

    return case


def _new_process(code: str) -> Case:
    @contextmanager
    def case(place: Path) -> Iterator[Callable[[], object]]:
        open_index()
        symspell()
        words = place / "words.json"
        words.write_text(json.dumps(mixed_words(CLASS)))
        command = [sys.executable, "-c", code + _PEAK, str(folder()), str(words)]
        yield lambda: _run(command)

    return case


def _run(command: list[str]) -> object:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Elsewhere(int(done.stdout) * 1024 / 1e6) if done.stdout else None
