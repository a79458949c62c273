"""The index against pyspellchecker with small dictionaries, where the library is fast.

Few letters make every kind of edit, and words that cross at two edits, likely.
"""

import json
import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huleedu_dagster.spelling.dictionaries import Dictionary, DictionaryError, edits
from huleedu_dagster.spelling.engine import IndexCandidates
from huleedu_dagster.spelling.reference_candidates import ReferenceCandidates

COUNTS = {"abc": 7, "acb": 7, "abcd": 50, "éa": 3, "b'a": 2**40, "a": 1, "bbbbbbbbbb": 0}


def sources(folder: Path, counts: Mapping[str, int]) -> tuple[ReferenceCandidates, IndexCandidates]:
    return read(folder, json.dumps(counts))


def read(folder: Path, text: str) -> tuple[ReferenceCandidates, IndexCandidates]:
    path = folder / "words.json"
    path.write_text(text, encoding="utf-8")
    dictionary = Dictionary.own("xx", path)
    return ReferenceCandidates(dictionary), IndexCandidates.open(dictionary, folder)


def assert_same(reference: ReferenceCandidates, index: IndexCandidates, word: str) -> None:
    assert index.known(word) == reference.known(word)
    assert index.count(word) == reference.count(word)
    assert index.candidates(word) == reference.candidates(word)
    for distance in (1, 2):
        assert index.within(word, distance) == reference.within(word, distance)


def strings(letters: str, most: int) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(letters), max_size=most)


@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(strings("abc", 6) | strings("aé'-", 4), min_size=1, max_size=60),
    asked=st.lists(strings("abcx", 7) | strings("aé'-ø😀", 5), max_size=15),
)
def test_all_answers_are_those_of_the_library(words: list[str], asked: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = sources(Path(folder), {word: len(word) for word in words})
        for word in [*asked, *words[:5]]:
            assert_same(*pair, word)


@pytest.mark.parametrize("word", ["abcdefghijkl", "abcdefgh", "abababababab", "éé'éé'éé'"])
def test_every_two_edits_of_a_long_word_lead_back_to_it(word: str, tmp_path: Path) -> None:
    # On both sides of the index's prefix of eight letters, and across it. Other words make
    # buckets, or all would be found in every bucket.
    others = map("".join, product("mnopq", "rst", "uvwyz", "mr", "su", "oq", "nt", "yz"))
    _, index = sources(tmp_path, {word: 1} | dict.fromkeys(others, 1))
    once = {it for it in edits(word, "xa") if it != word}
    twice = {it for step in once for it in edits(step, "xa")} - once - {word}
    assert all(index.candidates(it) == {word} for it in once | twice)
    assert all(index.within(it, 2) == {word: 1} for it in once)
    assert all(index.within(it, 2) == {word: 2} for it in twice)
    assert not any(index.within(it, 1) for it in twice)


@settings(deadline=None, max_examples=60)
@given(
    words=st.lists(strings("1e.-a", 4) | strings("+ inf", 5), min_size=1, max_size=40),
    asked=st.lists(strings("1e.-+ax_٣", 4) | strings("+- infa", 6), max_size=20),
)
def test_the_library_does_not_go_by_way_of_numbers(words: list[str], asked: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = sources(Path(folder), dict.fromkeys(words, 1))
        for word in [*asked, *words[:5]]:
            assert_same(*pair, word)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("abc", {"abc"}),
        ("abce", {"abc", "abcd"}),
        # A swap counts one edit, also at the word's end; a letter between the swapped, two.
        ("bac", {"abc"}),
        ("bxac", {"abc", "b'a"}),
        ("ba", {"a", "éa", "b'a"}),
        ("3", set()),
        ("?", set()),
        ("qqqqqq", set()),
        ("\ud800a", {"a", "éa"}),
    ],
)
def test_candidates_by_hand(word: str, expected: set[str], tmp_path: Path) -> None:
    reference, index = sources(tmp_path, COUNTS)
    assert index.candidates(word) == reference.candidates(word) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # One letter deleted, two others swapped: by way of "1e1", which is a number, and "+inf".
        ("1ze1", set()),
        ("+zinf", set()),
        # "nan" is a number to Python; the library makes an exception of it.
        ("nzan", {"ann"}),
        ("nan", {"ann"}),
        ("1zx1", {"x11"}),
    ],
)
def test_two_edits_by_way_of_a_number(word: str, expected: set[str], tmp_path: Path) -> None:
    reference, index = sources(tmp_path, {"e11": 1, "i+nf": 1, "ann": 1, "x11": 1})
    assert index.candidates(word) == reference.candidates(word) == expected


def test_a_word_without_letters_of_its_own_finds_words_of_one_letter(tmp_path: Path) -> None:
    _, index = sources(tmp_path, COUNTS)
    assert index.candidates("") == {"a"}


def test_up_to_three_letters_more_than_the_longest_are_looked_at(tmp_path: Path) -> None:
    reference, index = sources(tmp_path, COUNTS)
    for extra, known in ((2, False), (3, False), (4, True)):
        word = "b" * (10 + extra)
        assert index.known(word) == reference.known(word) == known
        assert index.candidates(word) == ({"bbbbbbbbbb"} if extra == 2 else set())


def test_counts_of_any_size_are_kept(tmp_path: Path) -> None:
    _, index = sources(tmp_path, COUNTS)
    assert {word: index.count(word) for word in COUNTS} == COUNTS
    assert index.count("nowhere") == 0


@pytest.mark.parametrize("distance", [0, 3])
def test_other_distances_are_refused(distance: int, tmp_path: Path) -> None:
    for source in sources(tmp_path, COUNTS):
        with pytest.raises(ValueError, match=str(distance)):
            source.within("abx", distance)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        # The last of two spellings counts, as the library lowers the text before it reads it.
        ('{"Abc": 100, "aBC": 3, "É": 5}', {"abc": 3, "é": 5}),
        ('{"é": 4, "É": 5, "abcd": 1E0, "ABCD": 2}', {"é": 5, "abcd": 2}),
        # A capital that is an escape is not lowered: its word is never found, but it is the
        # longest.
        (r'{"\u00c9a": 5, "abc": 7, "ABBBBBBBBBB\u00c9": 2}', {"éa": 0, "abc": 7}),
        (r'{"\u00c9": 5, "é": 3, "A\B": 1}', {"é": 3, "a\b": 1}),
    ],
)
def test_capitals_of_an_own_dictionary_are_lowered_as_the_library_does(
    text: str, counts: dict[str, int], tmp_path: Path
) -> None:
    reference, index = read(tmp_path, text)
    for word in ("abc", "é", "éa", "abd", "abbbbbbbbbbé", "abbbbbbbbbb", "a" * 14, "b" * 16):
        assert_same(reference, index, word)
    assert {word: index.count(word) for word in counts} == counts


@settings(deadline=None, max_examples=60)
@given(
    words=st.dictionaries(strings("abAB", 5) | strings("éÉ'İß", 3), st.integers(0, 9)),
    escaped=st.booleans(),
    asked=st.lists(strings("abx", 5) | strings("éß'i", 4), max_size=10),
)
def test_own_dictionaries_in_any_case_are_read_like_the_library_does(
    words: dict[str, int], escaped: bool, asked: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pair = read(Path(folder), json.dumps(words, ensure_ascii=escaped))
        for word in [*asked, *map(str.lower, words)]:
            assert_same(*pair, word)


def test_a_dictionary_without_words_knows_none(tmp_path: Path) -> None:
    reference, index = sources(tmp_path, {})
    for word in ("", "a", "7", "abcd"):
        assert_same(reference, index, word)


@pytest.mark.parametrize(
    "text",
    ["[]", '{"a": "b"}', '{"a": -1}', '{"a": 0.5}', '{"a": NULL}', '{"a": True}', "{", "\ufeff{}"],
)
def test_what_is_no_dictionary_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(text, encoding="utf-8")
    for source in (ReferenceCandidates, partial(IndexCandidates.open, folder=tmp_path)):
        with pytest.raises(DictionaryError, match=r"words\.json"):
            source(Dictionary.own("xx", path))


def test_a_dictionary_that_was_replaced_meanwhile_is_not_taken_for_the_old_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "words.json"
    path.write_text('{"house": 5}')
    old = Dictionary.own("xx", path)
    path.write_text('{"mouse": 5}')
    for source in (ReferenceCandidates, partial(IndexCandidates.open, folder=tmp_path)):
        with pytest.raises(DictionaryError, match=r"words\.json was replaced .* do it again"):
            source(old)
    path.write_text('{"house": 5}')
    index = IndexCandidates.open(Dictionary.own("xx", path), tmp_path)
    assert (index.known("house"), index.known("mouse")) == (True, False)


def test_a_dictionary_may_have_255_letters_and_no_more(tmp_path: Path) -> None:
    letters = [chr(0x4E00 + number) for number in range(256)]
    _, index = sources(tmp_path, dict.fromkeys(letters[:255], 1))
    assert index.known(letters[254])
    assert index.candidates(letters[254] + "x") == {letters[254]}
    with pytest.raises(ValueError, match="256"):
        sources(tmp_path, dict.fromkeys(letters, 1))
