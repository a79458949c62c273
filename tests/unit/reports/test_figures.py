"""Rates, distributions and their charts."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huleedu_dagster.reports.charts import histogram, range_of
from huleedu_dagster.reports.charts_bars import Series, columns, rows
from huleedu_dagster.reports.figures import (
    Bin,
    Spread,
    distribution,
    middle,
    per_hundred,
    percentile,
    spread,
)

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


def test_percentiles_lie_between_values_in_proportion() -> None:
    assert [percentile([1, 2, 3, 4, 5], it) for it in (0, 0.5, 0.9, 1)] == pytest.approx(
        [1, 3, 4.6, 5]
    )
    assert percentile([7], 0.99) == 7
    assert spread([2, 1]) == Spread(2, 1.5, 1.9, 1.95, 1.99, 2)
    assert spread([]) == Spread(0, None, None, None, None, None)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=99))
def test_percentiles_are_in_order_and_end_with_the_largest(values: list[float]) -> None:
    found = spread(values)
    ordered = [found.p50, found.p90, found.p95, found.p99, found.max]
    assert ordered == sorted(it for it in ordered if it is not None)
    assert found.max == round(max(values), 3)
    assert middle(values) == pytest.approx(found.p50, abs=0.001)


def parts_of(chart: str) -> tuple[ElementTree.Element, str]:
    """A chart, and what it says in words."""
    root = ElementTree.fromstring(chart)
    title, said = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert said is not None
    assert root.get("aria-labelledby") == f"{title.get('id')} {said.get('id')}"
    assert all(it.get("style") is None and it.get("fill") is None for it in root.iter())
    return root, str(said.text)


def test_bars_side_by_side_are_as_high_as_their_values() -> None:
    series = (Series("In <1>", [0, 4]), Series("Out", [0, 2]))
    root, said = parts_of(columns(["a", "b"], series, name="x", title="T & t", axis="Place"))
    assert said == "Place. In <1>: b: 4; Out: b: 2."
    # The first two are those of the legend.
    heights = [float(str(it.get("height"))) for it in root.iter("rect")][2:]
    assert heights[0] == heights[1] == 0
    assert heights[2] == pytest.approx(2 * heights[3])
    assert [it.get("class") for it in root.iter("rect")] == ["bar", "bar second"] * 3


def test_bars_without_any_value_say_so() -> None:
    _, said = parts_of(columns(["a"], (Series("In", [0]),), name="x", title="T", axis="Place"))
    assert said == "Place. In: none."


def test_of_many_places_some_have_their_names_below() -> None:
    places = [str(it) for it in range(100)]
    root, _ = parts_of(columns(places, (Series("In", [1] * 100),), name="x", title="T", axis="P"))
    shown = {it.text for it in root.iter("text")} & set(places)
    assert {"0", "5", "95"} <= shown
    assert len(shown) <= 24


def test_bars_below_each_other_are_as_long_as_their_values_and_long_names_are_cut() -> None:
    long = "class-" + "x" * 60
    root, said = parts_of(
        rows([(long, 4.25), ("b", 2.125)], name="x", title="T", axis="Rate", digits=1)
    )
    assert said == f"Rate. {long}: 4.2, b: 2.1."
    widths = [float(str(it.get("width"))) for it in root.iter("rect")]
    assert widths[0] == pytest.approx(2 * widths[1])
    assert max(len(str(it.text)) for it in root.iter("text")) == 30


def test_names_are_cut_in_the_middle_and_stay_apart() -> None:
    names = [f"batch-{'x' * 30}-{it}" for it in ("one", "two")]
    names += [f"batch-{'x' * 9}{middle}{'x' * 20}-one" for middle in "ab"]
    root, _ = parts_of(rows([(it, 1) for it in names], name="x", title="T", axis="Rate"))
    shown = [str(it.text) for it in root.iter("text") if it.get("class") == "row"]
    assert shown == [
        "batch-xxxxxxxxx…xxxxxxxxxx-one",
        "batch-xxxxxxxxx…xxxxxxxxxx-two",
        "batch-xxxxxxxx…2…xxxxxxxxx-one",
        "batch-xxxxxxxx…3…xxxxxxxxx-one",
    ]


@pytest.mark.parametrize(
    ("highest", "lines"),
    [
        (1, [0, 1]),
        (5, [0, 1, 2, 3, 4, 5]),
        (7, [0, 2, 4, 6, 8]),
        (212, [0, 50, 100, 150, 200, 250]),
    ],
)
def test_lines_behind_bars_are_at_round_values(highest: int, lines: list[int]) -> None:
    series = (Series("In", [highest]),)
    root, _ = parts_of(columns(["a"], series, name="x", title="T", axis="Place"))
    scale = [it for it in root.iter("text") if it.get("class") == "row"]
    assert [int(str(it.text)) for it in scale] == lines
    height = float(str(list(root.iter("rect"))[-1].get("height")))
    places = [float(str(it.get("y"))) for it in scale]
    assert height == pytest.approx((places[0] - places[-1]) * highest / lines[-1], abs=0.1)


def test_bars_of_noughts_have_no_length() -> None:
    root, _ = parts_of(rows([("a", 0.0)], name="x", title="T", axis="Rate"))
    assert [it.get("width") for it in root.iter("rect")] == ["0.0"]
