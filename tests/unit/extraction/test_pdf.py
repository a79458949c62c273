"""PDF: paragraphs, columns, hyphens and running heads, from where the words stand."""

import random

import pytest

from tests.factory.documents import pdf_bytes
from tests.factory.pdf import Line, pdf_of_lines
from tests.unit.extraction.helpers import ESSAY, code_of, extract, text_of

_WORDS = str.split(
    "att och en skola därför elever ändå över människor samhället problem i av på hon skriver "
    "exempelvis Göteborg utbildning"
)


def _text(lines: list[Line]) -> str:
    return text_of(pdf_of_lines([lines]), "pdf")


def _column(x: float, y: float, *texts: str, step: float = 14) -> list[Line]:
    return [Line(x, y - step * i, text) for i, text in enumerate(texts)]


def _essay(rng: random.Random) -> list[str]:
    lengths = [rng.randint(4, 120) for _ in range(rng.randint(3, 12))]
    return [" ".join(rng.choices(_WORDS, k=n)).capitalize() + "." for n in lengths]


def test_nearly_all_paragraphs_of_many_generated_essays_are_found() -> None:
    rng = random.Random(11)
    wanted = found = 0
    for _ in range(30):
        essay = _essay(rng)
        got = set(text_of(pdf_bytes(essay), "pdf").split("\n\n"))
        wanted += len(essay)
        found += sum(paragraph in got for paragraph in essay)
    assert found >= 0.98 * wanted


def test_no_word_is_lost_or_glued_over_pages() -> None:
    rng = random.Random(12)
    essay = [p for _ in range(8) for p in _essay(rng)]
    assert text_of(pdf_bytes(essay), "pdf").split() == " ".join(essay).split()


def test_a_larger_title_is_its_own_paragraph() -> None:
    assert text_of(pdf_bytes(ESSAY, title="Älven")).split("\n\n") == ["Älven", *ESSAY]


def test_short_paragraphs_of_one_line_stay_apart() -> None:
    assert text_of(pdf_bytes(["Hej på dig.", "Hej på mig.", "Hej då."])) == (
        "Hej på dig.\n\nHej på mig.\n\nHej då."
    )


def test_an_indented_line_begins_a_paragraph() -> None:
    full = "Denna rad är full från kant till kant på sidan och går inte att fylla mer än så"
    lines = [*_column(56, 700, full, full), Line(76, 672, full[:69]), *_column(56, 658, full, full)]
    assert _text(lines) == f"{full} {full}\n\n{full[:69]} {full} {full}"


def test_a_hyphen_at_a_line_end_joins_only_before_a_lower_case_letter() -> None:
    lines = _column(56, 700, "Det finns en skol-", "barn som heter Anna-", "Lisa, barn-", "och ung")
    assert _text(lines) == "Det finns en skolbarn som heter Anna-Lisa, barn- och ung"


def test_two_columns_are_read_one_after_the_other() -> None:
    left = [f"vänster {i} med ord som fyller spalten" for i in range(8)]
    right = [f"höger {i} med ord som fyller spalten" for i in range(8)]
    title = Line(56, 780, "En rubrik som går tvärs över båda spalterna på hela sidan")
    rows = list(zip(_column(56, 740, *left), _column(320, 740, *right), strict=True))
    by_rows = [title, *(line for row in rows for line in row)]
    by_columns = [title, *(row[0] for row in rows), *(row[1] for row in rows)]
    wanted = [*title.text.split(), *" ".join(left + right).split()]
    assert _text(by_rows).split() == wanted
    assert _text(by_columns).split() == wanted


def test_running_heads_and_page_numbers_are_left_out_from_three_pages_on() -> None:
    pages = []
    for number in range(1, 5):
        body = _column(56, 760, *(f"brödtext {number * number} {word} rad" for word in _WORDS))
        pages.append([Line(56, 810, "Åsa Ek SA23"), *body, Line(280, 30, f"Sida {number} av 4")])
    text = text_of(pdf_of_lines(pages))
    assert "SA23" not in text
    assert "Sida" not in text
    assert text.split().count("brödtext") == 4 * len(_WORDS)
    assert "Sida 2 av 4" in text_of(pdf_of_lines(pages[:2]))


def test_ligatures_are_written_out() -> None:
    data = pdf_bytes(["en XYgur"])
    encoding = b"<< /BaseEncoding /WinAnsiEncoding /Differences [88 /fi /fl] >>"
    raw = data.replace(b"/Encoding /WinAnsiEncoding", b"/Encoding " + encoding)
    result = extract(raw, "pdf")
    assert result.text == "en fiflgur"


def test_letters_without_a_meaning_warn_of_garbled_text() -> None:
    names = b" ".join(b"/uniE%03d" % i for i in range(26))
    encoding = b"<< /BaseEncoding /WinAnsiEncoding /Differences [97 %b] >>" % names
    data = pdf_bytes(["alla bokstäver saknar mening i denna fil"])
    raw = data.replace(b"/Encoding /WinAnsiEncoding", b"/Encoding " + encoding)
    assert extract(raw, "pdf").warnings == ("GARBLED_TEXT",)


def test_a_pdf_only_its_owner_may_change_opens() -> None:
    assert text_of(pdf_bytes(["Öppen text"], user_password=b"")) == "Öppen text"


@pytest.mark.parametrize("tail", [b"\n\n", b"\0" * 500, b"\r\n<!-- sent by a server -->"])
def test_bytes_after_the_end_mark_do_no_harm(tail: bytes) -> None:
    assert text_of(pdf_bytes(["Hej"]) + tail) == "Hej"


def test_an_empty_page_is_empty_content() -> None:
    assert code_of(pdf_bytes([])) == "EMPTY_CONTENT"
