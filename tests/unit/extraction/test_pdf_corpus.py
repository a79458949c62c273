"""PDF: generated essays in many layouts come back paragraph by paragraph."""

from collections.abc import Iterable

import pytest

from tests.factory.pdf_reportlab import Essay, Layout, all_layouts, corpus, set_essay
from tests.unit.extraction.helpers import text_of


def _shares(essays: Iterable[Essay]) -> tuple[float, float]:
    """The share of essays that come back exactly, and of paragraphs that come back at all."""
    exact = files = found = wanted = 0
    for essay in essays:
        got = text_of(essay.data, "pdf").split("\n\n")
        known = set(got)
        files += 1
        exact += got == list(essay.paragraphs)
        wanted += len(essay.paragraphs)
        found += sum(paragraph in known for paragraph in essay.paragraphs)
    return exact / files, found / wanted


def _layouts(spacing: str, columns: int, *, every: int) -> list[Layout]:
    fitting = [it for it in all_layouts() if (it.spacing, it.columns) == (spacing, columns)]
    return fitting[::every]


@pytest.mark.parametrize("spacing", ["indent", "double"])
def test_one_column_with_indented_paragraphs_comes_back_exactly(spacing: str) -> None:
    layouts = _layouts(spacing, 1, every=2)
    assert _shares(corpus(layouts=layouts)) == (1.0, 1.0)


def test_one_page_with_gaps_between_paragraphs_comes_back_exactly() -> None:
    layouts = [it for it in _layouts("block", 1, every=1) if not it.heads]
    assert _shares(corpus(layouts=layouts, pages=1)) == (1.0, 1.0)


@pytest.mark.parametrize("spacing", ["indent", "double"])
@pytest.mark.parametrize("columns", [2, 3])
def test_columns_with_indented_paragraphs_come_back_exactly(spacing: str, columns: int) -> None:
    layouts = _layouts(spacing, columns, every=3)
    assert _shares(corpus(layouts=layouts)) == (1.0, 1.0)


@pytest.mark.slow
def test_nearly_every_essay_of_all_layouts_comes_back() -> None:
    exact, recall = _shares(corpus())
    # A paragraph that ends with a full line at the foot of a column cannot be told from one that
    # goes on, where only gaps part paragraphs.
    assert exact >= 0.95
    assert recall >= 0.995


def test_no_word_of_any_layout_is_lost_glued_or_split() -> None:
    for essay in corpus(seed=7, layouts=all_layouts()[::9]):
        assert text_of(essay.data, "pdf").split() == " ".join(essay.paragraphs).split()


def test_a_title_above_columns_comes_first() -> None:
    layout = Layout(columns=2, justified=True, title="En rubrik")
    body = ["Ord som fyller en spalt till randen och lite till, rad efter rad. " * 30] * 4
    text = text_of(set_essay([it.strip() for it in body], layout), "pdf")
    assert text.split("\n\n") == ["En rubrik", *(it.strip() for it in body)]


def test_ligatures_of_an_embedded_font_are_written_out() -> None:
    data = set_essay(["Den \ufb01naste \ufb02öjten."], Layout(font="Vera"))
    assert text_of(data, "pdf") == "Den finaste flöjten."
