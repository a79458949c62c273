"""Names and texts as the pages show them: pure functions."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.domain.file_names import shortened, visible
from huleedu_dagster.intake.pages.words import age, size
from huleedu_dagster.pipeline.marked import OtherTextError, pieces

SEEN = [
    "essay.docx",
    "sj\u00f6 & h\u00e4v.txt",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.txt",
    "\U0001f469\u200d\U0001f680.md",
]
WRITTEN_OUT = [
    ("\u202egnp.exe", "[U+202E]gnp.exe"),
    ("a\u200bb", "a[U+200B]b"),
    ("a\u200db", "a[U+200D]b"),
    ("\u200d", "[U+200D]"),
    ("a\x00b\nc", "a[U+0000]b[U+000A]c"),
    ("\u2066x\u2069", "[U+2066]x[U+2069]"),
    ("\ufeff", "[U+FEFF]"),
    ("\U000e0041", "[U+E0041]"),
    ("\u2028", "[U+2028]"),
    ("\u0645\u200ca", "\u0645[U+200C]a"),
]


@pytest.mark.parametrize("name", SEEN)
def test_an_ordinary_name_is_shown_as_it_is(name: str) -> None:
    assert visible(name) == name


@pytest.mark.parametrize(("name", "expected"), WRITTEN_OUT)
def test_what_is_not_seen_is_written_out(name: str, expected: str) -> None:
    assert visible(name) == expected


@given(st.text())
def test_nothing_that_turns_the_direction_of_writing_is_left(name: str) -> None:
    left = {unicodedata.bidirectional(it) for it in visible(name)}
    assert not left & {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.text(), st.integers(min_value=3, max_value=80))
def test_a_name_is_shortened_in_the_middle_and_never_longer_than_asked(
    name: str, longest: int
) -> None:
    short = shortened(name, longest)
    if len(name) <= longest:
        assert short == name
        return
    begin = (longest - 1) // 3
    assert len(short) == longest
    assert short[:begin] == name[:begin]
    assert short[begin] == "…"
    assert name.endswith(short[begin + 1 :])


def test_the_end_of_a_long_name_is_kept() -> None:
    assert shortened("x" * 500 + "-anna.docx").endswith("-anna.docx")


@given(st.lists(st.tuples(st.text(max_size=5), st.text(min_size=1, max_size=5))), st.text())
def test_the_pieces_of_a_text_are_the_text(parts: list[tuple[str, str]], rest: str) -> None:
    text, corrections = "", []
    for right, wrong in parts:
        text += right
        corrections.append(
            {
                "offset": len(text),
                "length": len(wrong),
                "original": wrong,
                "suggestions": [],
                "confidence": "certain",
                "reason": "no_candidate",
                "applied": False,
            }
        )
        text += wrong
    text += rest
    found = pieces(text, corrections)
    assert "".join(it.text for it in found) == text
    assert [it.text for it in found if it.flag] == [wrong for _, wrong in parts]


def test_corrections_of_another_text_are_an_error() -> None:
    correction = {"offset": 0, "length": 3, "original": "teh"}
    with pytest.raises(OtherTextError):
        pieces("the sea", [correction])


def test_ages_and_sizes_are_in_the_unit_that_fits() -> None:
    assert [age(it) for it in (-1, 0, 59.9, 60, 3_599, 3_600, 86_400, 200_000)] == [
        "0 s",
        "0 s",
        "59 s",
        "1 min",
        "59 min",
        "1 h",
        "1 day",
        "2 days",
    ]
    assert [size(it) for it in (1, 999, 1_000, 999_499, 999_500, 25_000_000)] == [
        "1 byte",
        "999 bytes",
        "1 kB",
        "999 kB",
        "1.0 MB",
        "25.0 MB",
    ]
