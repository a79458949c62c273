"""Essays set by reportlab: embedded TrueType fonts, columns, justified and hyphenated lines."""

import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from reportlab.lib.enums import TA_JUSTIFY, TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

Spacing = Literal["block", "indent", "double"]

MARGIN = 72.0
GUTTER = 22.0
SOFT_HYPHEN = "\N{SOFT HYPHEN}"
_FONTS = ("Times-Roman", "Vera", "Helvetica")
_LETTER_WIDTH = 0.5
_VOWELS = "aeiouyåäö"
_NOUNS = str.split(
    "skolan läraren eleverna kommunen utbildningen människan berättelsen författaren miljön "
    "framtiden samhället familjen historien klimatet biblioteket sommaren kompisarna fotbollen "
    "fabriken officeren pojken flickan älven skogen staden demokratin yttrandefriheten tidningen"
)
_VERBS = str.split(
    "är har visar skriver hjälper förändrar påverkar behöver försöker förklarar diskuterar "
    "undersöker kritiserar försvarar beskriver ifrågasätter"
)
_GLUE = str.split(
    "och men eftersom därför att som på i av med för till över under kanske alltid aldrig ofta "
    "mycket en ett den det många några därefter slutligen dessutom däremot"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How an essay is set.

    Attributes:
        spacing: `block`: a gap between paragraphs; `indent`: only the first line of a paragraph
            is indented; `double`: two line heights from line to line, the first line indented.
        columns: Columns of a page.
        justified: Both edges straight, or the right one ragged.
        heads: A running head with the writer's name and a foot with the page number.
        hyphenated: Words may be broken at line ends.
        font: A standard font, or `Vera`, which is embedded.
        size: Font size, points.
        title: A larger first line, when given.
    """

    spacing: Spacing = "block"
    columns: int = 1
    justified: bool = False
    heads: bool = False
    hyphenated: bool = False
    font: str = "Times-Roman"
    size: float = 11
    title: str | None = None

    @property
    def name(self) -> str:
        """The layout in a few words, without font and title."""
        edge = "justified" if self.justified else "ragged"
        extras = [word for word in ("heads", "hyphenated") if getattr(self, word)]
        return "-".join([self.spacing, f"{self.columns}col", edge, *extras])


@dataclass(frozen=True, slots=True)
class Essay:
    """One file of the corpus: how it is set, what it says and its bytes."""

    layout: Layout
    paragraphs: tuple[str, ...]
    data: bytes


def set_essay(paragraphs: Sequence[str], layout: Layout) -> bytes:
    """Set an essay.

    Args:
        paragraphs: What it says; soft hyphens are places where a word may be broken.
        layout: How it is set.

    Returns:
        The bytes of the PDF, the same for the same input.
    """
    if layout.font == "Vera":
        _embed_vera()
    buffer = io.BytesIO()
    template = BaseDocTemplate(buffer, pagesize=A4, invariant=1, pageCompression=1)
    decorate = _decorate if layout.heads else _leave
    template.addPageTemplates([PageTemplate(frames=_frames(layout), onPage=decorate)])
    story: list[Any] = []
    if layout.title is not None:
        heading = ParagraphStyle(
            "title", fontName=layout.font, fontSize=18, leading=24, spaceAfter=12
        )
        story.append(Paragraph(escape(layout.title), heading))
    style = _style(layout)
    story += [Paragraph(escape(paragraph), style) for paragraph in paragraphs]
    template.build(story)
    return buffer.getvalue()


def drawn(*pages: Callable[[Canvas], None]) -> bytes:
    """A PDF whose pages are drawn by hand, in 11-point Helvetica unless they choose otherwise."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, invariant=1)
    for draw in pages:
        canvas.setFont("Helvetica", 11)
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def corpus(
    seed: int = 20261122, *, layouts: Sequence[Layout] | None = None, pages: int | None = None
) -> Iterator[Essay]:
    """Essays in every layout, each with the paragraphs it was set from.

    Args:
        seed: Decides lengths and words.
        layouts: All there are, when None.
        pages: About how many pages each has; one to six, as the seed decides, when None.
    """
    for number, layout in enumerate(all_layouts() if layouts is None else layouts):
        rng = random.Random(seed + number)
        length = rng.choice((2, 3, 4, 6) if layout.heads else (1, 1, 2, 3, 4, 6))
        words = (
            (pages or length)
            * (210 if layout.spacing == "double" else 420)
            * (2 if layout.columns == 3 else 1)
        )
        paragraphs = prose(rng, words, hyphenated=layout.hyphenated)
        plain = tuple(paragraph.replace(SOFT_HYPHEN, "") for paragraph in paragraphs)
        yield Essay(layout, plain, set_essay(paragraphs, layout))


def all_layouts() -> list[Layout]:
    """Every combination of spacing, columns, edge, heads and hyphens; the fonts take turns."""
    spacings: tuple[Spacing, ...] = ("block", "indent", "double")
    flags = (False, True)
    found = product(spacings, (1, 2, 3), flags, flags, flags)
    return [
        Layout(
            spacing=spacing,
            columns=columns,
            justified=justified,
            heads=heads,
            hyphenated=hyphenated,
            font=_FONTS[number % len(_FONTS)],
            size=9 if columns == 3 else 11,
        )
        for number, (spacing, columns, justified, heads, hyphenated) in enumerate(found)
    ]


def prose(rng: random.Random, words: int, *, hyphenated: bool = False) -> list[str]:
    """Paragraphs of sentences, about `words` words in all; long words may hold soft hyphens."""
    paragraphs = []
    left = words
    while left > 0:
        length = min(rng.choice((12, 35, 50, 60, 80, 110)), max(left, 12))
        left -= length
        paragraphs.append(_paragraph(rng, length, hyphenated))
    return paragraphs


def _paragraph(rng: random.Random, words: int, hyphenated: bool) -> str:
    sentences = []
    while words > 0:
        length = min(rng.randint(5, 17), max(words, 4))
        words -= length
        picked = [
            rng.choice(rng.choices((_NOUNS, _VERBS, _GLUE), (3, 2, 5))[0]) for _ in range(length)
        ]
        if rng.random() < 0.3:
            picked[length // 2] += ","
        picked[0] = picked[0].capitalize()
        if hyphenated:
            picked = [_with_soft_hyphens(word) for word in picked]
        sentences.append(" ".join(picked) + rng.choice("....?!"))
    return " ".join(sentences)


def _with_soft_hyphens(word: str) -> str:
    """A soft hyphen before each consonant that stands between two vowels, as Swedish has it."""
    out = word[:2]
    for at in range(2, len(word)):
        inner = at + 1 < len(word) and word[at] not in _VOWELS and word[at + 1] in _VOWELS
        out += (SOFT_HYPHEN if inner and len(word) - at > 2 else "") + word[at]
    return out


def _style(layout: Layout) -> ParagraphStyle:
    return ParagraphStyle(
        "body",
        fontName=layout.font,
        fontSize=layout.size,
        leading=layout.size * (2.3 if layout.spacing == "double" else 1.25),
        spaceAfter=layout.size * 0.8 if layout.spacing == "block" else 0,
        firstLineIndent=0 if layout.spacing == "block" else 1.8 * layout.size,
        alignment=TA_JUSTIFY if layout.justified else TA_LEFT,
        embeddedHyphenation=1 if layout.hyphenated else 0,
        allowWidows=0,
        allowOrphans=0,
    )


def _frames(layout: Layout) -> list[Frame]:
    width, height = A4
    room = width - 2 * MARGIN - (layout.columns - 1) * GUTTER
    column = room / layout.columns
    return [
        Frame(
            MARGIN + at * (column + GUTTER),
            MARGIN,
            column,
            height - 2 * MARGIN,
            leftPadding=0,
            rightPadding=0,
            topPadding=0,
            bottomPadding=0,
        )
        for at in range(layout.columns)
    ]


def _decorate(canvas: Canvas, document: Any) -> None:
    width, height = A4
    canvas.saveState()
    canvas.setFont("Helvetica", 9)
    canvas.drawString(MARGIN, height - 40, "Elev Elevsson SA23B")
    canvas.drawCentredString(width / 2, 34, f"Sida {document.page}")
    canvas.restoreState()


def _leave(canvas: Canvas, document: Any) -> None:
    """Nothing but the text stands on the page."""


def _embed_vera() -> None:
    if "Vera" not in pdfmetrics.getRegisteredFontNames():
        import reportlab

        folder = Path(reportlab.__file__).parent / "fonts"
        pdfmetrics.registerFont(TTFont("Vera", folder / "Vera.ttf"))
