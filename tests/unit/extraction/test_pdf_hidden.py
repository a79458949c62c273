"""PDF: text nobody can see is left out with a warning, and nasty geometry costs no time."""

import random
from collections.abc import Callable, Sequence

import pytest
from reportlab.lib.colors import black, white
from reportlab.pdfgen.canvas import Canvas

from huleedu_dagster.domain.outcomes import Code, Warn
from tests.factory.pdf_reportlab import drawn
from tests.unit.extraction.helpers import extract

_INVISIBLE = 3


def _draw_invisible(canvas: Canvas, text: str, y: float = 600) -> None:
    hidden = canvas.beginText(72, y)
    hidden.setTextRenderMode(_INVISIBLE)
    hidden.textOut(text)
    hidden.setTextRenderMode(0)
    canvas.drawText(hidden)


def _draw_white(canvas: Canvas, text: str) -> None:
    canvas.setFillColor(white)
    canvas.drawString(72, 600, text)
    canvas.setFillColor(black)


def _draw_tiny(canvas: Canvas, text: str) -> None:
    canvas.setFont("Helvetica", 1)
    canvas.drawString(72, 600, text)


@pytest.mark.parametrize("draw", [_draw_invisible, _draw_white, _draw_tiny])
def test_text_nobody_sees_is_left_out(draw: Callable[[Canvas, str], None]) -> None:
    def page(canvas: Canvas) -> None:
        canvas.drawString(72, 700, "Det här syns.")
        draw(canvas, "gömda ord")

    result = extract(drawn(page), "pdf")
    assert result.text == "Det här syns."
    assert result.warnings == (Warn.HIDDEN_TEXT_PRESENT,)


def test_what_a_scanner_read_from_a_picture_stays() -> None:
    def page(canvas: Canvas) -> None:
        canvas.drawInlineImage(_picture(), 50, 50, 400, 700)
        canvas.drawString(72, 40, "Skannad sida")
        _draw_invisible(canvas, "Texten på bilden")

    result = extract(drawn(page), "pdf")
    assert result.text is not None
    assert "Texten på bilden" in result.text
    assert result.warnings == ()


def test_a_page_of_nothing_but_invisible_text_keeps_it() -> None:
    result = extract(drawn(lambda canvas: _draw_invisible(canvas, "allt är osynligt")), "pdf")
    assert result.text == "allt är osynligt"


def test_white_words_on_a_dark_box_are_seen() -> None:
    def page(canvas: Canvas) -> None:
        canvas.rect(60, 590, 300, 30, stroke=0, fill=1)
        canvas.drawString(72, 700, "Brödtext.")
        _draw_white(canvas, "Rubrik i vitt")

    result = extract(drawn(page), "pdf")
    assert result.text == "Brödtext.\n\nRubrik i vitt"


def _picture() -> object:
    from PIL import Image

    return Image.new("L", (8, 8), 128)


def _scattered(canvas: Canvas) -> None:
    rng = random.Random(5)
    for _ in range(3000):
        canvas.drawString(rng.uniform(0, 590), rng.uniform(0, 840), "ab")


def _piled(canvas: Canvas) -> None:
    for number in range(3000):
        canvas.drawString(72, 700, chr(97 + number % 26))


def _far_away(canvas: Canvas) -> None:
    canvas.drawString(1e9, 1e9, "långt borta")
    canvas.drawString(-1e9, 5, "till vänster")
    canvas.drawString(72, 700, "här är det nära")


def _endless(canvas: Canvas) -> None:
    canvas.drawString(72, 700, "här är det nära")
    canvas.scale(1e30, 1e30)
    canvas.scale(1e30, 1e30)
    canvas.drawString(5, 5, "oändligt")


def _set_by(matrix: Sequence[float]) -> Callable[[Canvas], None]:
    numbers = " ".join(f"{number:.6f}" for number in matrix)

    def draw(canvas: Canvas) -> None:
        # The canvas itself writes no number as large as these.
        canvas._code.append(f"BT /F1 11 Tf {numbers} Tm (ord och text) Tj ET")

    return draw


@pytest.mark.parametrize(
    "matrix",
    [
        (64, 1, 1e38, 1e38, -1e9, -1),
        (0.2, 0.001, 1e38, 0, -1, 1e9),
        (0.001, -1, 1e38, -1e9, 0, 1e9),
        (0.001, -2, 250, 1e38, 0, 1e38),
        (1, 0, 0, 1e38, 72, 700),
        (0, 0, 0, 0, 0, 0),
        (1e-9, 0, 0, 1, 72, 700),
        (-1, 0, 0, 1, 500, 700),
    ],
)
def test_no_matrix_of_a_text_breaks_the_reader(matrix: Sequence[float]) -> None:
    result = extract(drawn(_set_by(matrix)), "pdf")
    assert result.code in (None, Code.EMPTY_CONTENT), result.message


@pytest.mark.parametrize("page", [_scattered, _piled, _far_away, _endless])
def test_nasty_places_of_characters_do_no_harm(page: Callable[[Canvas], None]) -> None:
    data = drawn(page)
    first = extract(data, "pdf")
    assert first.text
    assert extract(data, "pdf") == first


def test_words_near_survive_words_far_away() -> None:
    assert "här är det nära" in (extract(drawn(_far_away), "pdf").text or "")
    assert "här är det nära" in (extract(drawn(_endless), "pdf").text or "")
