"""Looks for barriers in an open page with axe-core: WCAG 2.2 A and AA, and good practice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LEAST_CONTRAST = 4.5
_OPTIONS = {
    "runOnly": {"type": "tag", "values": list(TAGS)},
    # As it comes, axe-core leaves out its one rule that is new in WCAG 2.2.
    "rules": {"target-size": {"enabled": True}},
    "resultTypes": ["violations", "incomplete"],
}
_CONTRAST = "color-contrast"
_MEASURE = """([selector, part]) => {
  const parts = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const light = (color) => {
    const [r, g, b] = color.map((it) => it / 255)
      .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const text = document.querySelector(selector);
  const style = getComputedStyle(text, part);
  if (style.opacity !== "1") return 0;
  const above = parts(text instanceof SVGTextElement ? style.fill : style.color);
  let below = null;
  for (let it = text; it; it = it.parentElement) {
    const { backgroundColor, backgroundImage, opacity } = getComputedStyle(it);
    const color = parts(backgroundColor);
    const clear = color.length === 4 && color[3] === 0;
    if (opacity !== "1" || (!below && backgroundImage !== "none")) return 0;
    if (!below && !clear) below = color;
  }
  // Half transparent colours are not measured, and a page without one of its own is white.
  below = below || [255, 255, 255];
  if (above.length !== 3 || below.length !== 3) return 0;
  const [dark, bright] = [light(above), light(below)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One element at which a rule failed, or could not be decided.

    Attributes:
        rule: The rule's id in axe-core.
        target: A selector of the element.
        help: What the rule asks for.
        why: What was found.
    """

    rule: str
    target: str
    help: str
    why: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.target}: {self.help} ({self.why})"


@dataclass(frozen=True, slots=True)
class Findings:
    """What axe-core says about a page.

    Attributes:
        barriers: Where a rule failed, or could not be decided by axe-core nor here.
        measured: Texts whose contrast axe-core could not decide, and that have it.
        rules: Ids of all rules that met something they are about.
    """

    barriers: tuple[Finding, ...]
    measured: tuple[Finding, ...]
    rules: frozenset[str]


def findings(page: Page) -> Findings:
    """Look at the page as it is now.

    Of a text that is alone in an SVG, that is one sign long or that is scrolled out of sight,
    axe-core does not know what is behind it. Here nothing lies over anything else but what is
    inside of it, so its contrast is with the nearest colour around it. Where colours are forced,
    all that it finds too faint is measured here as well.
    """
    told = Axe().run(page, options=_OPTIONS).response
    barriers, doubts = tuple(_found(told["violations"])), tuple(_found(told["incomplete"]))
    if page.evaluate("matchMedia('(forced-colors: active)').matches"):
        # It reads `-webkit-text-fill-color`, which Chromium tells as it would be without them.
        doubts += tuple(it for it in barriers if it.rule == _CONTRAST)
        barriers = tuple(it for it in barriers if it.rule != _CONTRAST)
    measured = tuple(it for it in doubts if it.rule == _CONTRAST and _has_contrast(page, it))
    return Findings(
        barriers=(*barriers, *(it for it in doubts if it not in measured)),
        measured=measured,
        rules=frozenset(it["id"] for kind in ("violations", "passes") for it in told[kind]),
    )


def contrast(page: Page, selector: str, part: str | None = None) -> float:
    """The contrast of a text with the nearest colour around it, 0 if it cannot be measured.

    Args:
        page: The page.
        selector: The element.
        part: A pseudo-element of it, such as `::placeholder`.
    """
    return float(page.evaluate(_MEASURE, [selector, part]))


def _has_contrast(page: Page, doubt: Finding) -> bool:
    return contrast(page, doubt.target) >= LEAST_CONTRAST


def _found(rules: list[Mapping[str, Any]]) -> Iterator[Finding]:
    for it in rules:
        for node in it["nodes"]:
            checks = [*node["any"], *node["all"], *node["none"]]
            why = "; ".join(str(check["message"]) for check in checks)
            target = " ".join(str(part) for part in node["target"])
            yield Finding(it["id"], target, it["help"], why)
