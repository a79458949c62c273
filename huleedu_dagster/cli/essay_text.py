"""One essay on a terminal: its stages, then its text with the misspellings marked."""

from typing import Any

from rich.text import Text

from huleedu_dagster.cli.tables import console, print_rows
from huleedu_dagster.spelling.port import REASONS, Confidence, Reason

_STYLES = {
    Confidence.CERTAIN: "green",
    Confidence.LIKELY: "yellow",
    Confidence.UNSURE: "dim",
}


def print_essay(view: dict[str, Any]) -> None:
    """Print what `essay_view` tells."""
    head = ("outcome", "code", "words", "misspellings", "duplicate_of")
    out = console()
    out.print(Text(f"{view['batch_id']} {view['essay_id']}: {view['file_name']}"))
    if view["message"]:
        out.print(Text(view["message"]))
    print_rows("Essay", head, [[view[name] for name in head]])
    columns = ("stage", "outcome", "code", "duration_ms")
    print_rows("Stages", columns, ([stage[it] for it in columns] for stage in view["stages"]))
    if view["misspelled_words"]:
        _print_words(view)
    if view["text"] is not None:
        out.print(marked(view["text"], view["corrections"]))


def marked(text: str, corrections: list[dict[str, Any]]) -> Text:
    """The text with each flagged word underlined; suggestions and confidence behind it."""
    out = Text()
    position = 0
    for correction in corrections:
        start, end = correction["offset"], correction["offset"] + correction["length"]
        confidence = Confidence(correction["confidence"])
        out.append(text[position:start])
        out.append(text[start:end], style="red underline")
        suggestions = ", ".join(correction["suggestions"]) or "no suggestion"
        out.append(f" [{suggestions}: {confidence.value}]", style=_STYLES[confidence])
        position = end
    out.append(text[position:])
    return out


def _print_words(view: dict[str, Any]) -> None:
    reasons = {it["original"].lower(): it["reason"] for it in view["corrections"]}
    print_rows(
        "Misspelled words",
        ("word", "times", "suggestions", "confidence", "why"),
        (
            [
                word["word"],
                word["count"],
                ", ".join(word["suggestions"]),
                word["confidence"],
                REASONS[Reason(reasons[word["word"]])],
            ]
            for word in view["misspelled_words"]
        ),
    )
