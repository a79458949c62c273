"""Tables for a terminal; the same text, without colours, where there is none."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from huleedu_dagster.domain.outcomes import EssayOutcome
from huleedu_dagster.pipeline.views import BatchView, EssayView

_WIDTH_WITHOUT_TERMINAL = 140
_STYLES = {
    EssayOutcome.ACCEPTED: "green",
    EssayOutcome.REJECTED: "red",
    EssayOutcome.DEAD_LETTERED: "bold red",
    EssayOutcome.EXCESS: "yellow",
    EssayOutcome.WAIVED: "yellow",
    EssayOutcome.PENDING: "dim",
}


def console(*, stderr: bool = False) -> Console:
    """A console that is as wide as the terminal, or wide enough for the tables."""
    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=_WIDTH_WITHOUT_TERMINAL)


def print_batch(view: BatchView) -> None:
    """The table of a batch and its counts."""
    table = Table(title=f"Batch {view.batch_id}: {view.status}", title_justify="left")
    for name in ("Essay", "File", "Outcome", "Code"):
        table.add_column(name, overflow="fold")
    table.add_column("Words", justify="right")
    table.add_column("Misspellings", justify="right")
    table.add_column("What to know", overflow="fold")
    for essay in view.essays:
        table.add_row(*_cells(essay))
    out = console()
    out.print(table)
    out.print(_summary(view))


def print_rows(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table."""
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(escape("–" if it is None else str(it)) for it in row))
    console().print(table)


def _cells(essay: EssayView) -> list[Text]:
    known = essay.message
    if essay.duplicate_of:
        known = f"{known} Has the same content as {essay.duplicate_of}.".strip()
    style = _STYLES[essay.outcome]
    return [
        Text(essay.essay_id or "–"),
        Text(essay.file_name or "–"),
        Text(essay.outcome.replace("_", " "), style=style),
        Text(essay.code or ""),
        Text("–" if essay.words is None else str(essay.words)),
        Text("–" if essay.misspellings is None else str(essay.misspellings)),
        Text(known),
    ]


def _summary(view: BatchView) -> str:
    expected = "any number" if view.expected is None else str(view.expected)
    since = view.waiting_since
    waiting = "" if since is None else f", waiting since {since:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{expected} expected, {view.received} received: {view.ready} accepted, "
        f"{view.rejected} rejected, {view.dead_lettered} dead-lettered, {view.missing} missing, "
        f"{view.excess} excess, {view.waived} waived; {view.duration_seconds:.1f} s{waiting}"
    )
