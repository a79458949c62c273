"""The accuracy harness: its formats, its figures, and floors on the data of this project."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from benchmarks.accuracy.__main__ import main
from benchmarks.accuracy.figures import TextFigures, measure_texts, measure_words
from benchmarks.accuracy.mistakes import misspelled
from benchmarks.accuracy.sources import (
    Misspelling,
    Slip,
    Text,
    WordList,
    half_of,
    read_source,
    read_text,
)
from benchmarks.accuracy.subjects import Choice, Ours, layered
from huleedu_dagster.settings import Settings
from huleedu_dagster.spelling.engines import IndexEngine
from huleedu_dagster.spelling.policy import Layer
from huleedu_dagster.spelling.port import Confidence

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "benchmarks" / "accuracy" / "data"
ENGLISH = IndexEngine(Settings().spelling_cache).open("en")
PUPILS = [str(it) for it in sorted(DATA.glob("pupil-*.txt"))]
OURS = ("| ranker", "| no layer", "| + ")
FLOORS = {
    "count": {"top_1": 78, "top_3": 88, "certain": 90},
    "channel": {"top_1": 88, "top_3": 92, "certain": 96},
}


@cache
def document() -> str:
    return (ROOT / "docs" / "spelling.md").read_text(encoding="utf-8")


def documented() -> list[str]:
    return re.findall(r"^(python -m benchmarks\.accuracy .*)$", document(), re.MULTILINE)


@cache
def pupils(ranker: str = "count") -> TextFigures:
    texts = [read_source(it, "en") for it in PUPILS]
    assert len(texts) == 3
    return measure_texts(
        Ours(Choice(ranker=ranker)), [it for it in texts if isinstance(it, Text)], ENGLISH
    )


def measured(
    capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> Iterator[dict[str, float]]:
    assert main([*arguments, "--no-peers", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        yield json.loads(line)


def pairs(text: str) -> list[tuple[str, list[str]]]:
    found = read_text("some", text)
    assert isinstance(found, WordList)
    return [(it.wrong, sorted(it.right)) for it in found.words]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# a comment\nfreind\tfriend\n\nwich\twhich\t12\n", [("freind", ["friend"])]),
        ("freind,friend\nwich,which", [("freind", ["friend"])]),
        ("freind friend\r\nwich which\r\n", [("freind", ["friend"])]),
        ("Freind->friend\nwich->which, witch\n", [("freind", ["friend"])]),
        ("freind->friend (a note)\nwich->which", [("freind", ["friend"])]),
        ("$friend\nfreind\nfrend 3\n$which\nwich\n", [("freind", ["friend"])]),
        ("$a_lot\nalot\n$?\nzzz\n", [("alot", ["a lot"])]),
        ("friend\tfriend\nwich\twhich\n", [("wich", ["which"])]),
        ("wich\twhich\nwich\twitch\n", [("wich", ["which", "witch"])]),
        ("dont\tdon’t\n", [("dont", ["don't"])]),
    ],
)
def test_a_list_is_read_in_every_usual_format(
    text: str, expected: list[tuple[str, list[str]]]
) -> None:
    assert pairs(text)[: len(expected)] == expected


def test_all_lines_of_the_formats_are_read() -> None:
    assert pairs("Freind->friend\nwich->which, witch")[1] == ("wich", ["which", "witch"])
    assert [it[0] for it in pairs("$friend\nfreind\nfrend 3\n$which\nwich")] == [
        *("freind", "frend"),
        "wich",
    ]
    assert [it[0] for it in pairs("# a comment\nfreind\tfriend\nwich\twhich\t12")][1] == "wich"


@pytest.mark.parametrize(
    "marked",
    [
        "# a comment\nMy {freind|friend} has {alot|a lot}.",
        "My <ERR targ=friend> freind </ERR> has <ERR targ=a lot> alot </ERR>.",
    ],
)
def test_the_markup_of_a_text_is_taken_out_and_its_places_are_kept(marked: str) -> None:
    found = read_text("some", marked)
    assert isinstance(found, Text)
    assert found.text == "My freind has alot."
    assert found.slips == (Slip(3, 9, "friend"), Slip(14, 18, "a lot"))


@pytest.mark.parametrize("first", ["All of this is right.", "$5 is what it costs.", "Hello, Mum"])
def test_a_text_without_markup_is_clean(first: str) -> None:
    found = read_text("some", f"{first}\nAnd this too, I think.\n")
    assert isinstance(found, Text)
    assert found.slips == ()


def test_a_file_that_is_not_utf_8_is_read_as_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes("cafe\tcafé\nwich\twhich\n".encode("latin-1"))
    found = read_source(str(path), "en")
    assert isinstance(found, WordList)
    assert found.words[0] == Misspelling("cafe", frozenset({"café"}))


def test_the_halves_share_no_word_and_are_the_whole() -> None:
    words = read_source(str(DATA / "misspellings-en.tsv"), "en")
    assert isinstance(words, WordList)
    tune, test = half_of(words.words, "tune"), half_of(words.words, "test")
    assert {it.right for it in tune}.isdisjoint(it.right for it in test)
    assert len(tune) + len(test) == len(words.words) == len(half_of(words.words, ""))
    assert min(len(tune), len(test)) > 0.4 * len(words.words)


@pytest.mark.parametrize(("language", "least"), [("en", 300), ("de", 80), ("fr", 80), ("es", 80)])
def test_the_lists_of_the_project_are_long_enough(language: str, least: int) -> None:
    found = read_source(str(DATA / f"misspellings-{language}.tsv"), language)
    assert isinstance(found, WordList)
    assert len(found.words) >= least


def test_generated_misspellings_are_the_same_for_the_same_seed() -> None:
    first = list(misspelled("en", 200, "a"))
    assert first == list(misspelled("en", 200, "a"))
    assert first != list(misspelled("en", 200, "b"))
    assert len(first) == 200
    for wrong, right in first:
        assert [wrong] != right
        assert ENGLISH.known(right[0])


def test_the_figures_of_words_are_counted_by_hand() -> None:
    words = [("freind", "friend"), ("theif", "thief"), ("xqzwvkjq", "quiz"), ("fisical", "fiscal")]
    items = [Misspelling(wrong, frozenset({right})) for wrong, right in words]
    found = measure_words(Ours(Choice()), items, ENGLISH)
    # The library's order puts "their" before "thief", and is certain of it.
    assert (found.first.part, found.among_three.part, found.first.whole) == (2, 3, 4)
    assert (found.nearest.part, found.within_two.part) == (3, 3)
    assert ("theif", "thief", "their") in found.wrong
    assert sum(share.whole for share in found.right.values()) == 3


def test_the_figures_of_a_text_are_counted_by_hand() -> None:
    marked = "A {freind|friend} of the {theif|thief}, {there|their} dog lagom and a fika."
    text = read_text("some", marked)
    assert isinstance(text, Text)
    found = measure_texts(Ours(Choice()), [text], ENGLISH)
    assert (found.tokens, found.flags) == (11, 4)
    assert found.false_flags == ["lagom", "fika"]
    assert found.per_thousand(len(found.false_flags)) == 181.82
    assert (found.flagged.part, found.flagged.whole) == (2, 3)
    assert (found.flagged_non_words.part, found.flagged_non_words.whole) == (2, 2)
    assert (found.fixed.part, found.damaged) == (1, [("lagom", "Lagos")])
    assert found.spoiled == [("theif", "their", "thief")]
    assert (found.first.part, found.among_three.part) == (1, 2)
    assert (found.right[Confidence.CERTAIN].part, found.right[Confidence.CERTAIN].whole) == (1, 3)


def test_a_slip_of_two_words_counts_as_one() -> None:
    text = Text("some", "He saw some one else.", (Slip(7, 15, "someone"),))
    found = measure_texts(Ours(Choice()), [text], ENGLISH)
    assert (found.flags, found.flagged.part, found.flagged.whole) == (0, 0, 1)


def test_each_layer_takes_out_flags_and_the_word_list_is_the_last() -> None:
    text = read_source(str(DATA / "clean-pupil.txt"), "en")
    assert isinstance(text, Text)
    steps = layered(Choice(words=frozenset({"fika", "lagom"})))
    flags = [measure_texts(it, [text], ENGLISH).flags for it in steps]
    assert [it.name for it in steps][1:-1] == [
        f"+ {it.value}"
        for it in (Layer.NAMES, Layer.POSSESSIVES, Layer.ACCEPT_LISTS, Layer.VARIETIES)
    ]
    assert flags == sorted(flags, reverse=True)
    assert flags[0] > flags[1] > flags[2] > flags[3] == flags[4] > flags[5]


def test_the_library_alone_stands_beside_it_and_says_nothing_of_confidence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([PUPILS[0], "--layers", "names,possessives", "--show"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = [it for it in lines if it.startswith("| pyspellchecker")]
    assert row.startswith("| pyspellchecker, distance 1 |")
    assert row.endswith("| – | – |")
    assert any(it.startswith("pyspellchecker, distance 1: damaged [('Harbour'") for it in lines)


@pytest.mark.parametrize("layers", ["nonsense", "names,nonsense"])
def test_a_layer_that_does_not_exist_is_said(
    layers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([PUPILS[0], "--layers", layers]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_source_that_is_missing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-list.tsv"]) == 2
    assert "no-such-list.tsv" in capsys.readouterr().err


@pytest.mark.parametrize("ranker", ["count", "channel"])
def test_certain_corrections_of_the_english_list_can_be_trusted(
    ranker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = str(DATA / "misspellings-en.tsv")
    (found,) = measured(capsys, [words, "--half", "test", "--ranker", ranker])
    least = FLOORS[ranker]
    assert found["top_1"] >= least["top_1"]
    assert found["top_3"] >= least["top_3"]
    confidence = json.loads(json.dumps(found["confidence"]))
    assert confidence["certain"]["right"] >= least["certain"]
    assert confidence["certain"]["n"] > found["words"] / 2


def test_the_channel_ranker_beats_the_order_by_count_on_the_half_it_was_not_tuned_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--half", "test", "--ranker", "count", "--ranker", "channel"]
    words = str(DATA / "misspellings-en.tsv")
    by_count, channel = measured(capsys, [words, *arguments])
    assert channel["top_1"] >= by_count["top_1"] + 5
    assert channel["top_3"] > by_count["top_3"]


@pytest.mark.parametrize("ranker", ["count", "channel"])
def test_school_texts_are_flagged_where_they_are_wrong_and_nowhere_else(ranker: str) -> None:
    found = pupils(ranker)
    assert len(found.false_flags) <= 1
    assert found.damaged == []
    assert (found.flagged_non_words.of() or 0) >= 95
    assert (found.among_three.of() or 0) >= 85
    assert (found.fixed.of() or 0) >= 45
    assert (found.right[Confidence.CERTAIN].of() or 0) >= 85


@pytest.mark.parametrize(
    ("name", "most"), [("clean-british.txt", 2), ("clean-american.txt", 2), ("clean-pupil.txt", 30)]
)
def test_clean_texts_have_few_flags(
    name: str, most: float, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = measured(capsys, [str(DATA / name)])
    assert found["false_flags_per_1000"] <= most


@pytest.mark.parametrize("command", documented())
def test_a_documented_command_prints_the_documented_tables(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = [
        str(path)
        for it in shlex.split(command)[3:]
        for path in (sorted(Path().glob(it)) if "*" in it else [it])
    ]
    # The library's ties depend on the process; its rows are not held to the letter.
    assert main([*words, "--no-peers"]) == 0
    rows = [it for it in capsys.readouterr().out.splitlines() if it.startswith(OURS)]
    known = {untimed(it) for it in document().splitlines() if it.startswith("| ")}
    assert rows
    assert [it for it in rows if untimed(it) not in known] == []


def untimed(row: str) -> str:
    """A row of a table without its last cell, which is a time in half of them."""
    return row.rpartition(" | ")[0]


def test_the_document_has_commands() -> None:
    assert len(documented()) >= 3
