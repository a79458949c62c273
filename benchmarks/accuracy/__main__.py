"""`python -m benchmarks.accuracy LIST_OR_TEXT …`: how often spelling is right.

A list has a wrong and a right word a line, in any of the usual formats; a text is annotated or
clean. Each list has a table of its own, all texts one together. See docs/spelling.md.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.accuracy import tables
from benchmarks.accuracy.figures import measure_texts, measure_words
from benchmarks.accuracy.sources import Text, WordList, half_of, read_source
from benchmarks.accuracy.subjects import (
    RANKERS,
    Absent,
    Choice,
    Library,
    Ours,
    Subject,
    layered,
)
from huleedu_dagster.spelling.policy import ALL_LAYERS, Layer, accepted_forms

_EACH = "each"


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 2 if a file cannot be read."""
    options = _parser().parse_args(arguments)
    try:
        sources = [read_source(it, options.language) for it in options.sources]
        subjects = _subjects(options)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    absent = Absent(options.language, options.variety)
    for source in sources:
        if isinstance(source, WordList):
            _print_words(source, subjects, absent, options)
    texts = [it for it in sources if isinstance(it, Text)]
    if texts:
        _print_texts(texts, subjects, absent, options)
    return 0


def _print_words(
    source: WordList, subjects: Sequence[Subject], absent: Absent, options: argparse.Namespace
) -> None:
    words = [it for it in half_of(source.words, options.half) if absent(it.wrong)]
    found = [measure_words(it, words, absent.source) for it in subjects]
    if options.json:
        _print_json(tables.word_json(source.name, it) for it in found)
        return
    print(f"\n{source.name}: {len(words)} words that no dictionary holds, of {len(source.words)}\n")
    rows = [(it.subject, tables.word_cells(it)) for it in found]
    print("\n".join(tables.table(tables.WORD_HEAD, rows)))
    if options.show:
        for item in found:
            for wrong, right, suggested in item.wrong:
                print(f"{item.subject}: certain of {wrong} -> {suggested}, meant {right}")


def _print_texts(
    texts: Sequence[Text], subjects: Sequence[Subject], absent: Absent, options: argparse.Namespace
) -> None:
    name = ", ".join(it.name for it in texts)
    found = [measure_texts(it, texts, absent.source) for it in subjects]
    if options.json:
        _print_json(tables.text_json(name, it) for it in found)
        return
    print(f"\n{name}: {found[0].tokens} words that a speller looks at\n")
    rows = [(it.subject, tables.text_cells(it)) for it in found]
    print("\n".join(tables.table(tables.TEXT_HEAD, rows)))
    if options.show:
        for item in found:
            print(f"{item.subject}: false flags {', '.join(item.false_flags) or 'none'}")
            print(f"{item.subject}: damaged {item.damaged or 'nothing'}")
            print(f"{item.subject}: spoiled {item.spoiled or 'nothing'}")


def _print_json(lines: Iterator[dict[str, object]]) -> None:
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


def _subjects(options: argparse.Namespace) -> list[Subject]:
    words = _word_list(options.word_list)
    rankers = options.ranker or ["count"]
    found: list[Subject] = []
    for ranker in rankers:
        if options.layers == _EACH:
            choice = Choice(options.language, options.variety, ranker, words=words)
            found += layered(choice)
        else:
            layers = _layers(options.layers)
            found.append(Ours(Choice(options.language, options.variety, ranker, layers, words)))
    if options.peers:
        found.append(Library(options.language, 1))
    if options.slow:
        found.append(Library(options.language, 2))
    return found


def _layers(names: str) -> frozenset[Layer]:
    if names == "all":
        return ALL_LAYERS
    return frozenset(Layer(it.strip().replace("-", "_")) for it in names.split(",") if it.strip())


def _word_list(path: str) -> frozenset[str]:
    if not path:
        return frozenset()
    lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    return accepted_forms(it.strip() for it in lines if not it.startswith("#"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("sources", nargs="+", metavar="LIST_OR_TEXT", help="or generated:NUMBER")
    parser.add_argument("--language", default="en", help="ISO 639-1 code (en)")
    parser.add_argument("--variety", default="", help="such as en-GB; all by default")
    parser.add_argument(
        "--ranker", action="append", choices=sorted(RANKERS), help="may be given twice (count)"
    )
    parser.add_argument(
        "--layers",
        default="all",
        help=f"some of {','.join(it.value for it in Layer)}; all; each, one after another",
    )
    parser.add_argument("--word-list", default="", help="a file with right words, one a line")
    parser.add_argument("--half", default="", choices=("tune", "test"), help="half of each list")
    parser.add_argument(
        "--no-peers", dest="peers", action="store_false", help="without the library"
    )
    parser.add_argument("--slow", action="store_true", help="the library at its own distance too")
    parser.add_argument("--show", action="store_true", help="name the false flags and the damage")
    parser.add_argument("--json", action="store_true", help="one object a line")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
