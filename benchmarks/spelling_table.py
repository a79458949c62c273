"""`python -m benchmarks.spelling_table`: the search for corrections in two tables, as Markdown.

The first has the CPU time for a misspelled word with four engines that take turns, the second how
many words were asked for and how many answers of the index differ from the library's.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks.spelling import folder, mixed_words, one_edit, open_index, reference, symspell
from huleedu_dagster.spelling.dictionaries import Dictionary
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates
from tests.unit.spelling.samples import sample
from tests.unit.spelling.yardstick import Yardstick

LANGUAGES = ("en", "de", "fr", "es")
_AT_ONCE = 20


def speed(size: int) -> Iterator[str]:
    """The table of CPU milliseconds for a word."""
    from symspellpy import Verbosity

    peer = symspell()
    engines: dict[str, Callable[[str], object]] = {
        "pyspellchecker, distance 2": reference().candidates,
        "pyspellchecker, distance 1": one_edit().candidates,
        "symspellpy, distance 2": lambda word: peer.lookup(word, Verbosity.CLOSEST, 2),
        "the index": open_index().candidates,
    }
    spent: dict[str, list[float]] = {name: [] for name in engines}
    words = mixed_words(size)
    for start in range(0, len(words), _AT_ONCE):
        # In turns, so that a busy machine touches all alike.
        for name, find in engines.items():
            for word in words[start : start + _AT_ONCE]:
                started = time.process_time()
                find(word)
                spent[name].append(1000 * (time.process_time() - started))
    slowest = sum(spent["pyspellchecker, distance 2"])
    yield from ("| engine | ms a word | median | times faster |", "|---|---|---|---|")
    for name, times in spent.items():
        mean, median = statistics.mean(times), statistics.median(times)
        yield f"| {name} | {mean:.3f} | {median:.3f} | {slowest / sum(times):.0f} |"


def equality(language: str, size: int, library_size: int) -> str:
    """The row of one language: words asked for, and answers that differ."""
    dictionary = Dictionary.installed(language)
    index, yardstick = IndexCandidates.open(dictionary, folder()), Yardstick(dictionary)
    words = sample(yardstick, language, size)
    pairs = zip(words, yardstick.candidates(words), strict=True)
    differences = sum(index.candidates(word) != wanted for word, wanted in pairs)
    library = ReferenceCandidates(dictionary)
    # The library's time grows with the square of a word's length.
    few = [word for word in sample(yardstick, language, library_size) if len(word) < 15]
    few = few[-library_size:]
    others = sum(index.candidates(word) != library.candidates(word) for word in few)
    return f"| {language} | {len(words)} | {differences} | {len(few)} | {others} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=int, default=100, help="words for each engine")
    parser.add_argument("--equal", type=int, default=2200, help="words for each language")
    parser.add_argument("--library", type=int, default=40, help="words for the library itself")
    chosen = parser.parse_args()
    for line in speed(chosen.speed):
        print(line, flush=True)
    print("\n| language | words | differences | with the library itself | differences |")
    print("|---|---|---|---|---|", flush=True)
    for language in LANGUAGES:
        print(equality(language, chosen.equal, chosen.library), flush=True)


if __name__ == "__main__":
    main()
