"""PDF: lists, verse, quotations, notes, drop caps, turned pages and other ways to set a page."""

from collections.abc import Callable, Sequence

import pytest
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas

from tests.factory.pdf_reportlab import drawn
from tests.unit.extraction.helpers import text_of

_LONG = (
    "Skolan har förändrats mycket under de senaste åren eftersom eleverna numera läser texter på "
    "skärmen i stället för i böcker, och många lärare tycker att det är ett problem för dem alla"
)


class _Pen:
    """Sets wrapped text from the top of a page downwards."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.y = 760.0

    def write(
        self,
        text: str,
        *,
        left: float = 72,
        right: float = 523,
        first: float = 0,
        leading: float = 14,
        gap: float = 0,
        font: tuple[str, float] = ("Helvetica", 11),
    ) -> None:
        self.canvas.setFont(*font)
        self.y -= gap
        begun = simpleSplit(text, *font, right - left - first)[0]
        self.canvas.drawString(left + first, self.y, begun)
        self.y -= leading
        for line in simpleSplit(text[len(begun) :].strip(), *font, right - left):
            self.canvas.drawString(left, self.y, line)
            self.y -= leading


def _text(*pages: Callable[[_Pen], None]) -> str:
    def drawing(write: Callable[[_Pen], None]) -> Callable[[Canvas], None]:
        return lambda canvas: write(_Pen(canvas))

    return text_of(drawn(*(drawing(page) for page in pages)), "pdf")


def _rows(rows: Sequence[tuple[float, float, str]]) -> str:
    def draw(canvas: Canvas) -> None:
        for x, y, text in rows:
            canvas.drawString(x, y, text)

    return text_of(drawn(draw), "pdf")


def test_items_of_a_list_are_paragraphs() -> None:
    items = [f"{_LONG}.", "Kort punkt", f"{_LONG}.", "Sista punkten"]

    def page(pen: _Pen) -> None:
        pen.write(f"{_LONG}:")
        for number, item in enumerate(items, start=1):
            pen.canvas.drawString(80, pen.y, f"{number}.")
            pen.write(item, left=100)

    numbered = [f"{number}. {item}" for number, item in enumerate(items, start=1)]
    assert _text(page).split("\n\n") == [f"{_LONG}:", *numbered]


@pytest.mark.parametrize("mark", ["•", "–", "-"])
def test_each_bullet_or_dash_begins_a_paragraph(mark: str) -> None:
    def page(pen: _Pen) -> None:
        for _ in range(3):
            pen.write(f"{mark} {_LONG}.")

    assert _text(page).split("\n\n") == [f"{mark} {_LONG}."] * 3


def test_a_dash_within_a_sentence_begins_no_paragraph() -> None:
    full = "Han kom till slut fram till den lilla byn vid havet efter en lång och kall natt"
    assert _rows([(72, 700, full), (72, 686, "– trött och hungrig – men glad")]) == (
        f"{full} – trött och hungrig – men glad"
    )


def test_lines_of_verse_stay_lines_and_stanzas_are_paragraphs() -> None:
    def page(pen: _Pen) -> None:
        pen.write(f"{_LONG}.")
        for stanza in range(2):
            for row in range(4):
                pen.write(f"vers {stanza} rad {row}", gap=0 if row else 12)
        pen.write(f"{_LONG}.", gap=12)

    verses = ["\n".join(f"vers {stanza} rad {row}" for row in range(4)) for stanza in range(2)]
    assert _text(page).split("\n\n") == [f"{_LONG}.", *verses, f"{_LONG}."]


def test_a_quotation_set_closer_and_narrower_is_a_paragraph() -> None:
    def page(pen: _Pen) -> None:
        for _ in range(3):
            pen.write(f"{_LONG}. {_LONG}.", leading=26, first=24)
        pen.write(f"{_LONG}. {_LONG}.", left=110, right=480)
        pen.write(f"{_LONG}.", leading=26, first=24, gap=12)

    assert _text(page).split("\n\n") == [
        *[f"{_LONG}. {_LONG}."] * 4,
        f"{_LONG}.",
    ]


def test_a_bold_line_above_a_text_is_a_paragraph() -> None:
    def page(pen: _Pen) -> None:
        for _ in range(3):
            pen.write("Rubrik", font=("Helvetica-Bold", 11), gap=14)
            pen.write(f"{_LONG}.")

    assert _text(page).split("\n\n") == ["Rubrik", f"{_LONG}."] * 3


def test_a_drop_cap_belongs_to_its_word() -> None:
    rows = ["et var en gång en rad som gick", "bredvid en stor och vacker anfang", "och en till"]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 44)
        canvas.drawString(72, 672, "D")
        canvas.setFont("Helvetica", 11)
        for at, row in enumerate(rows):
            canvas.drawString(104, 700 - 14 * at, row)

    assert text_of(drawn(draw), "pdf").split() == f"D{' '.join(rows)}".split()


def test_a_paragraph_goes_on_over_a_page_that_ends_with_notes() -> None:
    whole = f"{_LONG} när de ska läsa vad andra har skrivit om samma sak för länge sedan."
    *begun, rest = simpleSplit(whole, "Helvetica", 11, 451)

    def first(pen: _Pen) -> None:
        pen.write(f"{_LONG}.")
        pen.write(" ".join(begun), gap=10)
        pen.write("1 Se Ek, Om skolan, s. 12.", gap=30, font=("Helvetica", 8))

    def second(pen: _Pen) -> None:
        pen.write(rest)
        pen.write(f"{_LONG}.", gap=10)

    note = "1 Se Ek, Om skolan, s. 12."
    assert _text(first, second).split("\n\n") == [f"{_LONG}.", whole, note, f"{_LONG}."]


def test_a_raised_mark_does_not_part_its_line() -> None:
    def draw(canvas: Canvas) -> None:
        text = canvas.beginText(72, 700)
        text.textOut("Det finns en not")
        text.setRise(4)
        text.setFont("Helvetica", 7)
        text.textOut("1")
        text.setRise(0)
        text.setFont("Helvetica", 11)
        text.textOut(" som sitter här.")
        canvas.drawText(text)

    assert text_of(drawn(draw), "pdf") == "Det finns en not1 som sitter här."


def test_cells_of_a_table_are_not_glued() -> None:
    rows = [(72 + 150 * x, 700 - 20 * y, f"cell{y}{x}") for y in range(5) for x in range(3)]
    assert _rows(rows).split() == [text for _, _, text in rows]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_page_reads_like_an_upright_one(turn: int) -> None:
    def draw(canvas: Canvas) -> None:
        canvas.translate(300, 400)
        canvas.rotate(turn)
        for at, text in enumerate(["Skolan i den lilla staden", "ligger vid havet."]):
            canvas.drawString(-150, -14 * at, text)
        canvas.drawString(-150, -60, "Ett nytt stycke.")

    words = "Skolan i den lilla staden ligger vid havet. Ett nytt stycke."
    text = text_of(drawn(draw), "pdf")
    assert " ".join(text.split()) == words
    assert text.split("\n\n")[-1] == "Ett nytt stycke."


def test_a_watermark_on_every_page_goes_and_slanted_text_on_one_comes_last() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(200, 400)
        canvas.rotate(45)
        canvas.drawString(0, 0, "UTKAST TILL LÄRAREN")
        canvas.restoreState()
        canvas.drawString(72, 700, "Brödtext på sidan.")

    assert text_of(drawn(draw), "pdf") == "Brödtext på sidan.\n\nUTKAST TILL LÄRAREN"
    assert "UTKAST" not in text_of(drawn(draw, draw), "pdf")


def test_a_head_that_the_file_draws_last_is_read_first() -> None:
    rows = [(72.0, 700.0 - 14 * at, f"rad {at} i texten") for at in range(4)]
    assert _rows([*rows, (72.0, 780.0, "Titeln")]).startswith("Titeln")


def test_hyphens_that_belong_to_a_word_stay() -> None:
    lines = ["Skriv ett e-", "post om SO-", "ämnen från 1990-", "talet och skol-", "barn."]
    text = _rows([(72, 700 - 14 * at, line) for at, line in enumerate(lines)])
    assert text == "Skriv ett e-post om SO-ämnen från 1990-talet och skolbarn."


def test_a_word_written_with_a_hyphen_elsewhere_keeps_it_at_a_line_end() -> None:
    lines = ["Ett icke-våld är alltid möjligt och icke-", "våld är bra, säger hon."]
    text = _rows([(72, 700 - 14 * at, line) for at, line in enumerate(lines)])
    assert text.split().count("icke-våld") == 2
