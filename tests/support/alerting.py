"""Alerting rules evaluated over recorded scrapes: the part of PromQL that our rules use.

What it does not know is an error, never an alert that stays silent. A series that a scrape does not
tell is gone at once, as in Prometheus, which looks back five minutes only for series that nobody
told it the end of. An increase is not extrapolated to its whole range: whether there was one is the
same either way, and nothing else may be asked of it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yml"

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9.]+)(?![a-z0-9])|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"|(?P<labels>\{[^}]*\})|\[(?P<range>[0-9]+[smh])\]|(?P<sign>[()+/]|[<>]=?|[!=]=))"
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_GROUPED = re.compile(r"\b(?:by|without)\s*\([^)]*\)")
_WORDS = {"or"}
_UNITS = {"s": 1, "m": 60, "h": 3_600}
_COMPARE = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_RECKON = {"+": lambda a, b: a + b, "/": lambda a, b: a / b}


class UnknownExpressionError(ValueError):
    """An expression that is not understood, or names a metric that nobody tells."""


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


def seconds_of(duration: str) -> int:
    """A duration in seconds."""
    return int(duration[:-1]) * _UNITS[duration[-1]]


def metric_names(expression: str) -> set[str]:
    """Names of all metrics that an expression asks for."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', " ", _GROUPED.sub(" ", expression))
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b", bare)
    functions = set(re.findall(r"([a-z_]+)\s*\(", bare))
    return {it for it in names if it not in functions | _WORDS}


def evaluate(expression: str, scrapes: Sequence[Scrape]) -> Vector:
    """What is left of an expression's series at the last of these scrapes.

    Raises:
        UnknownExpressionError: It is not understood, or names what nobody ever told.
    """
    parser = _Parser(_tokens(expression), scrapes)
    found = parser.whole()
    if parser.rest:
        raise UnknownExpressionError(expression)
    return found


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    text = expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UnknownExpressionError(expression)
        tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], scrapes: Sequence[Scrape]) -> None:
        self.rest = tokens
        self._scrapes = scrapes
        self._has_grown = False

    def whole(self) -> Vector:
        found = self._comparison()
        while self._next() == "or":
            self._take("name")
            found = {**self._comparison(), **found}
        return found

    def _comparison(self) -> Vector:
        self._has_grown = False
        left = self._reckoned()
        if self._next() not in _COMPARE:
            return left
        sign, limit = self._take("sign"), float(self._take("number"))
        if self._has_grown and (sign, limit) != (">", 0):
            raise UnknownExpressionError("of an increase it is known only whether there was one")
        return {labels: it for labels, it in left.items() if _COMPARE[sign](it, limit)}

    def _reckoned(self) -> Vector:
        left = self._term()
        while self._next() in _RECKON:
            reckon: Any = _RECKON[self._take("sign")]
            right = self._term()
            left = {
                labels: reckon(left[labels], right[labels]) for labels in left if labels in right
            }
        return left

    def _term(self) -> Vector:
        name = self._take("name")
        if name == "max":
            return self._greatest()
        if name == "increase":
            self._expect("(")
            name, wanted = self._take("name"), self._labels()
            since = self._scrapes[-1].at - seconds_of(self._take("range"))
            self._expect(")")
            self._has_grown = True
            return self._increase(name, wanted, since)
        if name == "absent":
            self._expect("(")
            name, wanted = self._take("name"), self._labels()
            self._expect(")")
            return {} if self._at(self._scrapes[-1], name, wanted) else {wanted: 1.0}
        return self._at(self._scrapes[-1], name, self._labels())

    def _greatest(self) -> Vector:
        if self._take("name") != "without":
            raise UnknownExpressionError("max is known with `without` alone")
        self._expect("(")
        left_out = {self._take("name")}
        self._expect(")")
        self._expect("(")
        found: Vector = {}
        for labels, value in self._reckoned().items():
            kept = frozenset(it for it in labels if it[0] not in left_out)
            found[kept] = max(found.get(kept, value), value)
        self._expect(")")
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

    def _labels(self) -> Labels:
        if not self.rest or self.rest[0][0] != "labels":
            return frozenset()
        text = self._take("labels")[1:-1]
        if _LABEL.sub("", text).strip(" ,"):
            raise UnknownExpressionError(text)
        return frozenset(_LABEL.findall(text))

    def _next(self) -> str:
        return self.rest[0][1] if self.rest else ""

    def _take(self, kind: str) -> str:
        if not self.rest or self.rest[0][0] != kind:
            raise UnknownExpressionError(f"no {kind} where one is needed")
        return self.rest.pop(0)[1]

    def _expect(self, sign: str) -> None:
        if self._take("sign") != sign:
            raise UnknownExpressionError(f"no {sign}")
