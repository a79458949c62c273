"""The reader of expressions that the tests of rules and dashboard rest on."""

import pytest

from tests.support.promql import Query, UnknownExpressionError, read


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("a", {"a"}, set()),
        ('a{k="v"} / b * 60', {"a", "b"}, {"k"}),
        (
            'sum by (le) (rate(a_bucket{k="v"}[5m])) / b_total > 1',
            {"a_bucket", "b_total"},
            {"k", "le"},
        ),
        ("max without (instance) (a + b) > 0 or absent(c)", {"a", "b", "c"}, set()),
        (
            "histogram_quantile(0.95, max by (le, k) (increase(a_bucket[1d])))",
            {"a_bucket"},
            {"k", "le"},
        ),
    ],
)
def test_an_expression_says_what_it_asks_for(
    expression: str, metrics: set[str], labels: set[str]
) -> None:
    assert read(expression) == Query(metrics, labels)


@pytest.mark.parametrize(
    "expression",
    [
        *("", "a +", "a b", "a)", "(a", "a > or", "by", "§", "1.2.3", "a[5m]", "a{k=v}"),
        *(
            'a{k=~"v"}',
            "max (a)",
            "max by k (a)",
            "max by (k) a",
            "max by (k,) (a)",
            "max of (k) (a)",
        ),
        *("rate(a_total)", "rate(a_total[5])", "rate(a_gauge[5m])", "rate(rate(a_total[5m])[5m])"),
        *("rate(a_total[5m]", "irate(a_total[5m])", "absent()", "absent(a", "a and b"),
        "histogram_quantile(95, max by (le) (rate(a_bucket[5m])))",
        "histogram_quantile(0.95, max by (k) (rate(a_bucket[5m])))",
        "histogram_quantile(0.95, max without (k) (rate(a_bucket[5m])))",
        "histogram_quantile(max by (le) (rate(a_bucket[5m])))",
        "histogram_quantile(0.95, rate(a_bucket[5m]))",
    ],
)
def test_what_is_no_expression_or_not_known_is_an_error(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        read(expression)
