"""Expressions of PromQL: the part that our rules and our dashboard use.

What is not known is an error: a panel of Grafana that cannot be read is only empty, and nobody
looks at it before something is wrong.
"""

import re
from dataclasses import dataclass, field

Token = tuple[str, str]
"""Of which kind something is, and what it says."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)(?![a-z0-9.])|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"|(?P<labels>\{[^}]*\})|\[(?P<range>[0-9]+[smhd])\]|(?P<sign>[()+*/,]|[<>]=?|[!=]=))"
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_GROUPS = {"max", "sum"}
_GROWTH = {"increase", "rate"}
_GROWING = ("_bucket", "_count", "_sum", "_total")
_WORDS = {"by", "or", "without"}
_BETWEEN = {"+", "*", "/", ">", "<", ">=", "<=", "==", "!=", "or"}


class UnknownExpressionError(ValueError):
    """An expression that is not understood, or names a metric that nobody tells."""


@dataclass(frozen=True, slots=True)
class Query:
    """What an expression asks for.

    Attributes:
        metrics: Names of the metrics.
        labels: Labels that it looks at or groups by; those it leaves out are none.
    """

    metrics: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)


def read(expression: str) -> Query:
    """Read an expression.

    Raises:
        UnknownExpressionError: It is no PromQL, or more of it than is known here.
    """
    reader = _Reader(tokens(expression))
    reader.expression()
    if reader.rest:
        raise UnknownExpressionError(expression)
    return reader.query


def tokens(expression: str) -> list[Token]:
    """The parts of an expression, in order.

    Raises:
        UnknownExpressionError: Something is no part of any.
    """
    found, place = [], 0
    text = expression.strip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise UnknownExpressionError(expression)
        found.append((str(match.lastgroup), match[str(match.lastgroup)]))
        place = match.end()
    return found


class Tokens:
    """The parts of an expression that are not read yet.

    Attributes:
        rest: They, the next first.
    """

    def __init__(self, rest: list[Token]) -> None:
        self.rest = rest

    def kind(self) -> str:
        """The kind of the next one, empty behind the last."""
        return self.rest[0][0] if self.rest else ""

    def next(self) -> str:
        """What the next one says, empty behind the last."""
        return self.rest[0][1] if self.rest else ""

    def take(self, kind: str) -> str:
        """Read the next one.

        Raises:
            UnknownExpressionError: It is of another kind.
        """
        if self.kind() != kind:
            raise UnknownExpressionError(f"no {kind} where one is needed")
        return self.rest.pop(0)[1]

    def expect(self, sign: str) -> None:
        """Read this sign.

        Raises:
            UnknownExpressionError: Something else is there.
        """
        if self.take("sign") != sign:
            raise UnknownExpressionError(f"no {sign}")

    def labels(self) -> frozenset[tuple[str, str]]:
        """Read which labels are wanted, if that is said.

        Raises:
            UnknownExpressionError: It is said in another way than by `=`.
        """
        if self.kind() != "labels":
            return frozenset()
        text = self.take("labels")[1:-1]
        if _LABEL.sub("", text).strip(" ,"):
            raise UnknownExpressionError(text)
        return frozenset(_LABEL.findall(text))


class _Reader(Tokens):
    def __init__(self, rest: list[Token]) -> None:
        super().__init__(rest)
        self.query = Query()

    def expression(self) -> None:
        self._term()
        while self.next() in _BETWEEN:
            self.rest.pop(0)
            self._term()

    def _term(self) -> None:
        if self.kind() == "number":
            self.take("number")
            return
        name = self.take("name")
        if name in _GROUPS:
            self._grouped()
        elif name in _GROWTH:
            self.expect("(")
            self._growing(self.take("name"))
            self.expect(")")
        elif name == "histogram_quantile":
            self._quantile()
        elif name == "absent":
            self.expect("(")
            self._series(self.take("name"))
            self.expect(")")
        else:
            self._series(name)

    def _grouped(self) -> set[str]:
        """Read what is grouped; the labels that are left of it, as far as they are known."""
        how, names = self.take("name"), set()
        if how not in ("by", "without"):
            raise UnknownExpressionError("what is grouped is so by some labels or without some")
        self.expect("(")
        names.add(self.take("name"))
        while self.next() == ",":
            self.expect(",")
            names.add(self.take("name"))
        self.expect(")")
        self.expect("(")
        self.expression()
        self.expect(")")
        kept = names if how == "by" else set()
        self.query.labels.update(kept)
        return kept

    def _growing(self, name: str) -> None:
        if not name.endswith(_GROWING):
            raise UnknownExpressionError(f"{name} may fall")
        self._series(name)
        self.take("range")

    def _quantile(self) -> None:
        self.expect("(")
        share = float(self.take("number"))
        self.expect(",")
        if self.take("name") not in _GROUPS or "le" not in self._grouped() or not 0 < share < 1:
            raise UnknownExpressionError("a quantile is of buckets by their bounds")
        self.expect(")")

    def _series(self, name: str) -> None:
        if name in _WORDS:
            raise UnknownExpressionError(f"{name} is no metric")
        self.query.metrics.add(name)
        self.query.labels.update(label for label, _ in self.labels())
