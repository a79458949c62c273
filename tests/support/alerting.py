"""Alerting rules evaluated over recorded scrapes: the part of PromQL that our rules use.

What it does not know is an error, never an alert that stays silent. A series that a scrape does not
tell is gone at once, as in Prometheus, which looks back five minutes only for series that nobody
told it the end of. An increase is not extrapolated to its whole range: whether there was one is the
same either way, and nothing else may be asked of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.promql import Token, Tokens, UnknownExpressionError, tokens

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yml"

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_COMPARE = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_RECKON = {"+": lambda a, b: a + b, "/": lambda a, b: a / b}


@dataclass(frozen=True, slots=True)
class Scrape:
    """What was told at a moment, seconds: every sample by name and labels."""

    at: float
    samples: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


@dataclass(frozen=True, slots=True)
class Rule:
    """An alerting rule.

    Attributes:
        seconds: How long its expression holds before it fires.
        consequences: Alerts that may fire because of what it is about.
    """

    name: str
    expression: str
    seconds: int
    consequences: frozenset[str]

    def fires(self, scrapes: Sequence[Scrape]) -> bool:
        """Whether it fires at the last of these scrapes."""
        since = scrapes[-1].at - self.seconds
        if self.seconds and scrapes[0].at > since:
            return False
        ends = [end for end, it in enumerate(scrapes, 1) if it.at >= since]
        return all(evaluate(self.expression, scrapes[:end]) for end in ends)


def rules() -> list[Rule]:
    """The rules that are delivered."""
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return [
        Rule(
            it["alert"],
            it["expr"],
            seconds_of(it["for"]) if "for" in it else 0,
            frozenset(filter(None, it["annotations"].get("consequences", "").split(", "))),
        )
        for it in group["rules"]
    ]


def firing(scrapes: Sequence[Scrape]) -> set[str]:
    """Names of the alerts that fire at the last of these scrapes."""
    return {it.name for it in rules() if it.fires(scrapes)}


def ever_firing(scrapes: Sequence[Scrape]) -> set[str]:
    """Names of the alerts that fire at any of these scrapes."""
    ends = range(1, len(scrapes) + 1)
    return {name for end in ends for name in firing(scrapes[:end])}


def seconds_of(duration: str) -> int:
    """A duration in seconds."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def evaluate(expression: str, scrapes: Sequence[Scrape]) -> Vector:
    """What is left of an expression's series at the last of these scrapes.

    Raises:
        UnknownExpressionError: It is not understood, or names what nobody ever told.
    """
    parser = _Parser(tokens(expression), scrapes)
    found = parser.whole()
    if parser.rest:
        raise UnknownExpressionError(expression)
    return found


class _Parser(Tokens):
    def __init__(self, rest: list[Token], scrapes: Sequence[Scrape]) -> None:
        super().__init__(rest)
        self._scrapes = scrapes
        self._has_grown = False

    def whole(self) -> Vector:
        found = self._comparison()
        while self.next() == "or":
            self.take("name")
            found = {**self._comparison(), **found}
        return found

    def _comparison(self) -> Vector:
        self._has_grown = False
        left = self._reckoned()
        if self.next() not in _COMPARE:
            return left
        sign, limit = self.take("sign"), float(self.take("number"))
        if self._has_grown and (sign, limit) != (">", 0):
            raise UnknownExpressionError("of an increase it is known only whether there was one")
        return {labels: it for labels, it in left.items() if _COMPARE[sign](it, limit)}

    def _reckoned(self) -> Vector:
        left = self._term()
        while self.next() in _RECKON:
            reckon: Any = _RECKON[self.take("sign")]
            right = self._term()
            left = {
                labels: reckon(left[labels], right[labels]) for labels in left if labels in right
            }
        return left

    def _term(self) -> Vector:
        name = self.take("name")
        if name == "max":
            return self._greatest()
        if name == "increase":
            self.expect("(")
            name, wanted = self.take("name"), self.labels()
            since = self._scrapes[-1].at - seconds_of(self.take("range"))
            self.expect(")")
            self._has_grown = True
            return self._increase(name, wanted, since)
        if name == "absent":
            self.expect("(")
            name, wanted = self.take("name"), self.labels()
            self.expect(")")
            return {} if self._at(self._scrapes[-1], name, wanted) else {wanted: 1.0}
        return self._at(self._scrapes[-1], name, self.labels())

    def _greatest(self) -> Vector:
        if self.take("name") != "without":
            raise UnknownExpressionError("max is known with `without` alone")
        self.expect("(")
        left_out = {self.take("name")}
        self.expect(")")
        self.expect("(")
        found: Vector = {}
        for labels, value in self._reckoned().items():
            kept = frozenset(it for it in labels if it[0] not in left_out)
            found[kept] = max(found.get(kept, value), value)
        self.expect(")")
        return found

    def _increase(self, name: str, wanted: Labels, since: float) -> Vector:
        """How much each series grew; the first sample of a series counts for nothing."""
        grown: Vector = {}
        before: Vector = {}
        for scrape in (it for it in self._scrapes if it.at > since):
            now = self._at(scrape, name, wanted)
            for labels, value in now.items():
                if labels in before:
                    last = before[labels]
                    grown[labels] = grown.get(labels, 0.0) + (
                        value - last if value >= last else value
                    )
            before = {**before, **now}
        return grown

    def _at(self, scrape: Scrape, name: str, wanted: Labels) -> Vector:
        if not any(name == told for it in self._scrapes for told, _ in it.samples):
            raise UnknownExpressionError(f"nobody tells {name}")
        return {
            frozenset(labels): value
            for (told, labels), value in scrape.samples.items()
            if told == name and wanted <= frozenset(labels)
        }
