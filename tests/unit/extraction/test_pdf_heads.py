"""PDF: running heads, feet and page numbers go; what the writer wrote stays."""

from collections.abc import Callable, Sequence

import pytest
from reportlab.pdfgen.canvas import Canvas

from tests.factory.pdf_reportlab import drawn
from tests.unit.extraction.helpers import text_of

_ROW = "Den här raden är full från kant till kant och nummer {:04} av många i texten här"


def _page(number: int, *extra: tuple[float, float, str]) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        for at in range(30):
            canvas.drawString(72, 740 - 14 * at, _ROW.format(number * 100 + at))
        for x, y, text in extra:
            canvas.drawString(x, y, text)

    return draw


def _text(heads: Sequence[Sequence[tuple[float, float, str]]]) -> str:
    return text_of(drawn(*(_page(number, *extra) for number, extra in enumerate(heads))), "pdf")


def _only_body(text: str, pages: int) -> bool:
    rows = [_ROW.format(page * 100 + at) for page in range(pages) for at in range(30)]
    return text.split() == " ".join(rows).split()


@pytest.mark.parametrize(
    "form",
    ["{}", "- {} -", "Anna Ek {}", "Sida {} av 5", "Page {} of 5", "{} (5)", "{}/5", "s. {}"],
)
def test_a_number_that_counts_pages_goes(form: str) -> None:
    assert _only_body(_text([[(280, 40, form.format(page + 1))] for page in range(5)]), 5)


def test_roman_page_numbers_go() -> None:
    numbers = ["i", "ii", "iii", "iv", "v", "vi"]
    assert _only_body(_text([[(280, 40, number)] for number in numbers]), 6)


def test_several_lines_of_a_head_go_with_a_date_at_the_foot() -> None:
    extra = [(72.0, 815.0, "Anna Ek"), (72.0, 801.0, "SA23B"), (72.0, 787.0, "Svenska 2")]
    assert _only_body(_text([[*extra, (72.0, 40.0, "2026-03-01")]] * 3), 3)


def test_a_head_that_the_first_page_lacks_goes() -> None:
    head = [(72.0, 810.0, "Anna Ek, SA23B")]
    assert _only_body(_text([[], head, head]), 3)


def test_heads_that_differ_on_left_and_right_pages_go() -> None:
    left, right = [(72.0, 810.0, "Anna Ek")], [(400.0, 810.0, "Om skolan")]
    assert _only_body(_text([left, right] * 3), 6)


def test_of_two_pages_a_line_at_the_same_place_and_page_numbers_go() -> None:
    heads = [[(72.0, 810.0, "Anna Ek"), (280.0, 40.0, f"Sida {page} av 2")] for page in (1, 2)]
    assert _only_body(_text(heads), 2)


def test_of_two_pages_lines_that_differ_stay() -> None:
    text = _text([[(72, 810, "Första delen")], [(72, 810, "Andra delen")]])
    assert "Första delen" in text
    assert "Andra delen" in text


def test_a_single_page_keeps_everything() -> None:
    text = _text([[(72, 810, "Anna Ek"), (280, 40, "1")]])
    assert text.startswith("Anna Ek")
    assert text.endswith("1")


def test_a_title_that_the_running_head_repeats_is_kept_once() -> None:
    head = [(250.0, 815.0, "Älvens folk")]
    text = _text([[*head, (72.0, 775.0, "Älvens folk")], head, head, head])
    assert text.split("\n\n")[0] == "Älvens folk"
    assert text.count("Älvens folk") == 1


def test_a_year_alone_at_the_foot_of_one_page_is_kept() -> None:
    assert "1945" in _text([[], [(72, 40, "1945")], []])


def test_a_text_over_pages_is_one_paragraph_without_its_heads() -> None:
    heads = [[(72.0, 810.0, "Anna Ek"), (280.0, 40.0, str(page))] for page in range(1, 4)]
    assert "\n" not in _text(heads)
