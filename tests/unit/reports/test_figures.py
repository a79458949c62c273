"""Rates, distributions and their charts."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.reports.charts import histogram, range_of
from huleedu_dagster.reports.figures import Bin, distribution, middle, per_hundred

SVG = "{*}"


@pytest.mark.parametrize(
    ("misspellings", "words", "rate"),
    [(3, 200, 1.5), (0, 10, 0.0), (1, 3, 33.3), (1, 0, None), (None, 5, None), (2, None, None)],
)
def test_a_rate_is_per_hundred_words_to_one_decimal(
    misspellings: int | None, words: int | None, rate: float | None
) -> None:
    assert per_hundred(misspellings, words) == rate


def test_the_middle_is_the_median() -> None:
    assert [middle([5, 1, 9]), middle([4, 1, 9, 6]), middle([])] == [5, 5, None]


def test_ranges_are_round_and_cover_what_lies_between() -> None:
    assert distribution([120, 180, 410, 99, 101]) == (
        Bin(50, 100, 1),
        Bin(100, 150, 2),
        Bin(150, 200, 1),
        Bin(200, 250, 0),
        Bin(250, 300, 0),
        Bin(300, 350, 0),
        Bin(350, 400, 0),
        Bin(400, 450, 1),
    )
    assert distribution([]) == ()
    assert distribution([7]) == (Bin(7, 8, 1),)


@given(st.lists(st.floats(0, 100_000).map(lambda it: round(it, 1)), min_size=1, max_size=99))
def test_every_value_is_in_one_range_and_there_are_few(values: list[float]) -> None:
    found = distribution(values)
    assert len(found) <= 10
    assert sum(it.count for it in found) == len(values)
    assert [it.low for it in found[1:]] == [it.high for it in found[:-1]]
    for it in found:
        assert it.count == sum(it.low <= value < it.high for value in values)


def test_a_range_is_written_as_people_do() -> None:
    assert range_of(Bin(50, 100, 1)) == "50–99"
    assert range_of(Bin(7, 8, 1)) == "7"
    assert range_of(Bin(0, 1, 1), 0.1) == "0–0.9"
    assert range_of(Bin(2, 4, 1), 0.1) == "2–3.9"


def test_a_chart_says_in_words_what_its_bars_show() -> None:
    bins = (Bin(0, 50, 2), Bin(50, 100, 0), Bin(100, 150, 4))
    chart = histogram(bins, name="lengths", title="Length <b>", axis="Words & more")
    root = ElementTree.fromstring(chart)
    assert root.get("role") == "img"
    title, said = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert said is not None
    assert title.text == "Length <b>"
    assert said.text == "Words & more, with the number of essays: 0–49: 2, 50–99: 0, 100–149: 4"
    assert root.get("aria-labelledby") == f"{title.get('id')} {said.get('id')}"
    heights = [float(str(it.get("height"))) for it in root.iter("rect")]
    assert heights[1] == 0
    assert heights[2] == pytest.approx(2 * heights[0])
    assert all(it.get("style") is None and it.get("fill") is None for it in root.iter())
