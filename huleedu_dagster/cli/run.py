"""`huleedu run`, `submit` and `demo`: handing in files from folders, archives and single files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

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
)
from huleedu_dagster.cli.tables import print_batch, print_rows
from huleedu_dagster.cli.work import work_and_export
from huleedu_dagster.domain.completeness import ClosedBy
from huleedu_dagster.domain.ids import InvalidIdError, check_batch_id, essay_path
from huleedu_dagster.pipeline.intake import Receipt
from huleedu_dagster.pipeline.lifecycle import close, register
from huleedu_dagster.pipeline.sources import Source, UnreadableFileError, sources_of

FilesArgument = Annotated[
    list[Path], typer.Argument(help="Folders, zip archives or files, one file an essay.")
]
BatchOption = Annotated[str, typer.Option("--batch", help="Id of the batch.")]
DEMO_BATCH = "demo"


@dataclass(frozen=True, slots=True)
class _HandedIn:
    receipts: tuple[Receipt, ...]
    unreadable: tuple[str, ...]


def run(
    files: FilesArgument,
    batch: BatchOption,
    expected: ExpectedOption = None,
    language: LanguageOption = None,
    variety: VarietyOption = None,
    min_words: MinWordsOption = None,
    max_words: MaxWordsOption = None,
    word_list: WordListOption = None,
    apply: ApplyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand in a class, process it and print what became of every file."""
    installation = Installation.at(home)
    words = words_of(word_list)
    wanted = Wanted(language, variety, min_words, max_words, apply, words)
    _run(installation, files, batch, expected, wanted, as_json=as_json)


def submit(
    files: FilesArgument,
    batch: BatchOption,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store files for a registered batch and return; `huleedu up` processes them."""
    installation = Installation.at(home)
    sources = _sources(installation, files)
    handed_in = _hand_in(installation, batch, sources, reopen=False)
    rows = [
        {
            "upload_id": it.upload_id,
            "file_name": it.path,
            "sha256": it.sha256,
            "bytes": it.size,
            "received_at": it.received_at.isoformat(),
            "status": it.status,
            "essay_id": it.slot,
        }
        for it in handed_in.receipts
    ]
    if as_json:
        print_json(rows)
    else:
        names = ("essay_id", "file_name", "status", "bytes", "sha256")
        print_rows(f"Batch {batch}", names, ([row[name] for name in names] for row in rows))
    _tell_unreadable(handed_in.unreadable)
    raise typer.Exit(Exit.INCOMPLETE if handed_in.unreadable else Exit.READY)


def demo(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Process the sample class."""
    samples = Path(__file__).resolve().parents[2] / "samples"
    if not samples.is_dir():
        fail("the sample class is part of the source checkout only", Exit.USAGE)
    installation = Installation.at(home)
    count = len(sources_of(samples, max_bytes=installation.settings.max_upload_bytes))
    wanted = Wanted(language="en")
    _run(installation, [samples], DEMO_BATCH, count, wanted, as_json=as_json, checked=True)


def _run(
    installation: Installation,
    files: list[Path],
    batch: str,
    expected: int | None,
    wanted: Wanted,
    *,
    as_json: bool,
    checked: bool = False,
) -> NoReturn:
    sources = _sources(installation, files)
    check_count(installation, len(sources) if expected is None else expected)
    _ensure_registered(installation, batch, expected, wanted)
    handed_in = _hand_in(installation, batch, sources, reopen=True)
    close(installation.ledger, batch, ClosedBy.REQUEST)
    view, folder = work_and_export(installation, batch, checked=checked)
    if as_json:
        print_json(view.model_dump(mode="json"))
    else:
        print_batch(view)
        typer.echo(f"Corrected texts and report: {folder}")
    _tell_unreadable(handed_in.unreadable)
    raise typer.Exit(Exit.INCOMPLETE if handed_in.unreadable else exit_code(view.status))


def _sources(installation: Installation, files: list[Path]) -> list[Source]:
    limit = installation.settings.max_upload_bytes
    found: list[Source] = []
    for target in files:
        if not target.exists():
            fail(f"there is no file or folder {target}", Exit.USAGE)
        try:
            found += sources_of(target, max_bytes=limit)
        except UnreadableFileError:
            fail(f"{target} cannot be read", Exit.USAGE)
    if not found:
        fail("there are no files to hand in", Exit.USAGE)
    for source in found:
        try:
            essay_path(source.path)
        except InvalidIdError as error:
            fail(f"{source.path!r} cannot be handed in: {error}", Exit.USAGE)
    names = [essay_path(it.path) for it in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fail(f"several files have the same path inside the batch: {', '.join(twice)}", Exit.USAGE)
    large = [it.path for it in found if it.size > limit]
    if large:
        fail(f"larger than {limit} bytes, nothing was handed in: {', '.join(large)}", Exit.USAGE)
    return found


def check_count(installation: Installation, count: int) -> None:
    """End the command if a batch cannot have so many essays."""
    most = installation.settings.max_slots
    if count > most:
        fail(
            f"a batch has at most {most} essays and this one would have {count}: "
            "hand in a larger exam as several batches",
            Exit.USAGE,
        )


def _ensure_registered(
    installation: Installation, batch_id: str, expected: int | None, wanted: Wanted
) -> None:
    check_batch_id(batch_id)
    with installation.ledger.read() as tx:
        found = tx.batches.find(batch_id)
    before = installation.settings.batch_settings if found is None else found.registration.settings
    settings = wanted.over(before)
    check_spelling(installation, settings)
    if register(installation.ledger, batch_id, settings=settings, expected_essay_count=expected):
        return
    with installation.ledger.read() as tx:
        registration = tx.batches.get(batch_id).registration
    differing = [
        name.replace("_", " ")
        for name in wanted.spoken_of
        if getattr(registration.settings, name) != getattr(settings, name)
    ]
    if expected is not None and registration.expected_essay_count != expected:
        differing.append("expected count")
    if differing:
        fail(
            f"batch {batch_id} is registered with another {', '.join(differing)}; "
            "change its settings with `huleedu register --update`",
            Exit.USAGE,
        )


def _hand_in(
    installation: Installation, batch_id: str, sources: list[Source], *, reopen: bool
) -> _HandedIn:
    """Hand in every file; with `reopen`, news for a closed batch opens it again."""
    intake = installation.intake
    with installation.ledger.read() as tx:
        batch = tx.batches.get(batch_id)
    closed = reopen and batch.closed_by not in (None, ClosedBy.FULL)
    unreadable: list[str] = []
    with intake.submission(batch_id) as submission:
        for source in sources:
            try:
                data = source.read()
            except UnreadableFileError:
                unreadable.append(source.path)
                continue
            if closed and not intake.is_known(batch_id, source.path, data):
                intake.reopen(batch_id)
                closed = False
            submission.receive(source.path, data)
    return _HandedIn(tuple(submission.receipts), tuple(unreadable))


def _tell_unreadable(names: tuple[str, ...]) -> None:
    if names:
        typer.echo(f"huleedu: could not be read and was not taken in: {', '.join(names)}", err=True)
