"""The evaluator that the tests of the alerts rest on: it can say yes, no, and that it is lost."""

from typing import Any

import pytest

from tests.support.alerting import (
    Rule,
    Scrape,
    evaluate,
    ever_firing,
    firing,
    rules,
    seconds_of,
)
from tests.support.promql import UnknownExpressionError, read


def scrapes(name: str, *values: float | None, step: float = 60, **labels: str) -> list[Scrape]:
    """One series, scraped every minute; `None` where it was not told."""
    key = (name, tuple(sorted(labels.items())))
    return [
        Scrape(number * step, {("other", ()): 1.0} | ({} if it is None else {key: it}))
        for number, it in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("expression", "value", "holds"),
    [
        ("a > 1", 2, True),
        ("a > 1", 1, False),
        ("a >= 1", 1, True),
        ("a < 0.5", 0.4, True),
        ("a == 0", 0, True),
        ("a != 0", 0, False),
        ("a > 90", float("inf"), True),
        ("a + a > 3", 2, True),
        ("a / a < 0.1", 2, False),
        ('a{k="v"} > 1', 2, True),
        ('a{k="w"} > 1', 2, False),
        ("max without (k) (a) > 1", 2, True),
        ("max without (k) (a + a) > 4", 2, False),
        ("a > 3 or a < 3", 2, True),
        ("a > 3 or a < 2", 2, False),
        ("absent(a) > 0", 2, False),
        ('absent(a{k="w"})', 2, True),
        ('a > 3 or absent(a{k="w"})', 2, True),
    ],
)
def test_an_expression_holds_as_in_promql(expression: str, value: float, holds: bool) -> None:
    assert bool(evaluate(expression, scrapes("a", value, k="v"))) is holds


@pytest.mark.parametrize(
    ("values", "grown"),
    [
        ([0, 0, 1], 1.0),
        ([5, 6, 7, 1], 1.0),
        ([None, None, 1], None),
        ([3, 3, 3], 0.0),
        # What lies as far back as the range is long is no part of it.
        ([0, 9, 9], 0.0),
    ],
)
def test_an_increase_is_seen_between_samples_only(
    values: list[float | None], grown: float | None
) -> None:
    found = evaluate("increase(a[2m])", scrapes("a", *values))
    assert list(found.values()) == ([] if grown is None else [grown])


@pytest.mark.parametrize(
    ("values", "fires"), [([2, 2, 2], True), ([2, 2], False), ([2, 0, 2], False)]
)
def test_a_rule_fires_when_it_held_all_the_time(values: list[float], fires: bool) -> None:
    rule = Rule("A", "a > 1", 120, frozenset())
    assert rule.fires(scrapes("a", *values)) is fires


def test_an_alert_that_fires_in_between_is_seen() -> None:
    up = ("up", "huleedu_dagster_database_up", "huleedu_disk_free_bytes", "huleedu_disk_size_bytes")
    well = {name: float(name in up) for rule in rules() for name in read(rule.expression).metrics}
    job = (("job", "huleedu-intake"),)
    found = [
        Scrape(60 * minute, {(name, job): it for name, it in told.items()})
        for minute, told in enumerate([well, {**well, "huleedu_dead_letters_open": 1.0}, well])
    ]
    assert firing(found) == set()
    assert ever_firing(found) == {"HuleEduDeadLetters"}


@pytest.mark.parametrize(
    "expression",
    [
        *("b > 1", "rate(a[5m]) > 1", "a > b", "a > 1 and a < 0", 'a{k=~"v"} > 1', "a >", "§"),
        *("increase(a[5m]) > 1", "max without (k) (increase(a[5m])) >= 0"),
        *("max(a) > 1", "max by (k) (a) > 1", "absent(b)"),
    ],
)
def test_what_is_not_understood_is_an_error(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        evaluate(expression, scrapes("a", 1, k="v"))


def test_of_series_that_differ_in_a_label_the_greatest_counts_once() -> None:
    one, two = (("a", (("instance", it), ("k", "v"))) for it in "xy")
    found = evaluate("max without (instance) (a) > 2", [Scrape(0, {one: 1.0, two: 3.0})])
    assert found == {frozenset({("k", "v")}): 3.0}


def test_durations_are_read() -> None:
    assert [seconds_of(it) for it in ("90s", "5m", "1h", "1d")] == [90, 300, 3_600, 86_400]


def test_every_rule_says_what_it_is_and_what_to_do() -> None:
    found: list[Any] = rules()
    names = {it.name for it in found}
    assert len(names) == len(found) >= 5
    assert all(it.consequences <= names for it in found)
