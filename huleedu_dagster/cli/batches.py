"""Commands about batches: register, close, reopen, waive, status, show."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from huleedu_dagster.cli.batch_options import (
    ApplyOption,
    ExpectedOption,
    LanguageOption,
    MaxWordsOption,
    MinWordsOption,
    VarietyOption,
    Wanted,
    WordListOption,
    check_spelling,
    words_of,
)
from huleedu_dagster.cli.common import (
    Exit,
    HomeOption,
    Installation,
    JsonOption,
    exit_code,
    fail,
    print_json,
    print_json_list,
)
from huleedu_dagster.cli.essay_text import print_essay
from huleedu_dagster.cli.run import check_count
from huleedu_dagster.cli.tables import print_batch, print_rows
from huleedu_dagster.cli.work import current_tools, work_and_export
from huleedu_dagster.ledger.ledger import Transaction
from huleedu_dagster.ledger.records import Batch
from huleedu_dagster.pipeline import lifecycle, reprocessing
from huleedu_dagster.pipeline.essay_views import essay_view
from huleedu_dagster.pipeline.views import BatchFacts, batch_view

BatchArgument = Annotated[str, typer.Argument(help="Id of the batch.")]
EssayArgument = Annotated[str, typer.Argument(help="Slot of the essay, such as e001.")]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Process what there is to do and wait for the batch.")
]
_LATEST = 50
_PAGE = 500


def register(
    batch: BatchArgument,
    expected: ExpectedOption = None,
    language: LanguageOption = None,
    variety: VarietyOption = None,
    min_words: MinWordsOption = None,
    max_words: MaxWordsOption = None,
    word_list: WordListOption = None,
    apply: ApplyOption = None,
    deadline: Annotated[
        datetime | None,
        typer.Option("--deadline", help="When the batch closes, in UTC: 2026-12-01T23:59:00."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds until the batch closes.")
    ] = None,
    course: Annotated[str, typer.Option("--course")] = "",
    class_name: Annotated[str, typer.Option("--class")] = "",
    instructions: Annotated[str, typer.Option("--instructions")] = "",
    update: Annotated[
        bool, typer.Option("--update", help="Change the settings of a registered batch.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register a batch before its files come, or change its settings."""
    installation = Installation.at(home)
    words = words_of(word_list)
    wanted = Wanted(language, variety, min_words, max_words, apply, words)
    if update:
        fixed = (expected, deadline, timeout, course or None, class_name or None)
        if any(it is not None for it in (*fixed, instructions or None)):
            fail("only what spelling and validation follow can be changed", Exit.USAGE)
        _update(installation, batch, wanted)
        _print_registered(installation, batch, as_json=as_json)
        return
    settings = wanted.over(installation.settings.batch_settings)
    check_spelling(installation, settings)
    check_count(installation, expected or 0)
    if not lifecycle.register(
        installation.ledger,
        batch,
        settings=settings,
        expected_essay_count=expected,
        deadline=None if deadline is None else deadline.replace(tzinfo=UTC),
        timeout_seconds=timeout,
        course=course,
        class_name=class_name,
        instructions=instructions,
    ):
        fail(f"batch {batch} is registered already; `--update` changes its settings", Exit.USAGE)
    _print_registered(installation, batch, as_json=as_json)


def close(
    batch: BatchArgument,
    wait: WaitOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take no more essays for a batch."""
    installation = Installation.at(home)
    lifecycle.close(installation.ledger, batch)
    _finish(installation, batch, wait=wait, as_json=as_json)


def reopen(batch: BatchArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take essays for a batch again; late files join it."""
    installation = Installation.at(home)
    installation.intake.reopen(batch)
    _print(installation, batch, as_json=as_json)


def waive(
    batch: BatchArgument,
    essay: EssayArgument,
    reason: Annotated[str, typer.Option("--reason", help="Why it is given up; kept for audits.")],
    wait: WaitOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on without a missing essay or a dead letter."""
    installation = Installation.at(home)
    lifecycle.waive(installation.ledger, batch, essay, reason)
    _finish(installation, batch, wait=wait, as_json=as_json)


def reprocess(
    batch: BatchArgument,
    essays: Annotated[
        list[str] | None, typer.Argument(help="Slots of essays; all of the batch if left out.")
    ] = None,
    stale: Annotated[
        bool,
        typer.Option("--stale", help="Those alone whose results are of older code or settings."),
    ] = False,
    wait: WaitOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work over again what is stored: whatever the current code and settings have no result for."""
    installation = Installation.at(home)
    wanted = essays or None
    if stale:
        if wanted:
            fail("--stale chooses the essays itself", Exit.USAGE)
        tools = current_tools(installation)
        wanted = reprocessing.stale_slots(installation.ledger, batch, tools)
    asked = reprocessing.reprocess(installation.ledger, batch, wanted)
    typer.echo(f"Essays to be worked over again: {len(asked)}", err=True)
    _finish(installation, batch, wait=wait, as_json=as_json)


def status(
    batch: Annotated[
        str | None,
        typer.Argument(
            help="Id of the batch; if left out, those that are not done, and the latest."
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every batch there ever was.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where a batch stands, or all that are not done, and the latest."""
    installation = Installation.at(home)
    if batch is not None:
        if every:
            fail("say either a batch, or --all", Exit.USAGE)
        view = installation.view(batch)
        _print(installation, batch, as_json=as_json)
        raise typer.Exit(exit_code(view.status))
    if as_json:
        print_json_list(view for page in _pages(installation, every=every) for view in page)
        return
    names = ("batch_id", "status", "expected", "received", "ready", "rejected", "missing")
    for page in _pages(installation, every=every):
        print_rows("Batches", names, ([view[name] for name in names] for view in page))


def show(
    batch: BatchArgument,
    essay: EssayArgument,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one essay: what became of it, its text and its corrections."""
    installation = Installation.at(home)
    view = essay_view(installation.ledger, installation.blobs, batch, essay)
    if as_json:
        print_json(view)
    else:
        print_essay(view)


def _pages(installation: Installation, *, every: bool) -> Iterator[list[dict[str, Any]]]:
    """All batches, so many at a time, or those that matter now; says what is left out."""
    if not every:
        with installation.ledger.read() as tx:
            found = tx.batches.not_done(or_latest=_LATEST, limit=_PAGE)
            lines, left_out = _lines(tx, found), tx.batches.count() - len(found)
        yield lines
        if left_out:
            told = f"Left out: {left_out} older batches; `huleedu status --all` tells of all"
            typer.echo(told, err=True)
        return
    last: Batch | None = None
    while True:
        with installation.ledger.read() as tx:
            found = tx.batches.behind(last, _PAGE)
            lines = _lines(tx, found)
        yield lines
        if len(found) < _PAGE:
            return
        last = found[-1]


def _lines(tx: Transaction, found: Iterable[Batch]) -> list[dict[str, Any]]:
    views = (batch_view(BatchFacts.read(tx, it.batch_id), tx.now) for it in found)
    return [it.model_dump(mode="json", exclude={"essays"}) for it in views]


def _update(installation: Installation, batch: str, wanted: Wanted) -> None:
    """Change what is given and leave the rest of the settings as they are."""
    with installation.ledger.read() as tx:
        before = tx.batches.get(batch).registration.settings
    settings = wanted.over(before)
    check_spelling(installation, settings)
    lifecycle.change_settings(installation.ledger, batch, settings)


def _print_registered(installation: Installation, batch: str, *, as_json: bool) -> None:
    with installation.ledger.read() as tx:
        found = tx.batches.get(batch).registration
    if as_json:
        settings = found.settings.model_dump(mode="json")
        print_json(
            {
                "batch_id": batch,
                "correlation_id": found.correlation_id,
                "expected_essay_count": found.expected_essay_count,
                "settings": settings,
            }
        )
    else:
        typer.echo(f"Batch {batch} is registered, correlation id {found.correlation_id}")


def _finish(installation: Installation, batch: str, *, wait: bool, as_json: bool) -> None:
    if not wait:
        _print(installation, batch, as_json=as_json)
        return
    view, _ = work_and_export(installation, batch)
    _print(installation, batch, as_json=as_json)
    raise typer.Exit(exit_code(view.status))


def _print(installation: Installation, batch: str, *, as_json: bool) -> None:
    view = installation.view(batch)
    if as_json:
        print_json(view.model_dump(mode="json"))
    else:
        print_batch(view)
