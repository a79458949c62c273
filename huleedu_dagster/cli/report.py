"""Documents of a batch for people and archives: a page, a PDF, a bag."""

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, fail


def report(
    batch: Annotated[str, typer.Argument(help="Id of the batch.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report as one page to this file.")
    ] = None,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", help="Print it to this file; needs Chromium.")
    ] = None,
    bag: Annotated[
        Path | None,
        typer.Option("--bag", help="Pack all that is kept of the batch, as a BagIt bag in a zip."),
    ] = None,
    essays: Annotated[
        bool,
        typer.Option("--essays", help="Page and PDF hold every essay too, its text marked."),
    ] = False,
    home: HomeOption = None,
) -> None:
    """Write the report of a batch as it stands, as a page, a PDF or a bag for an archive."""
    if html is None and pdf is None and bag is None:
        fail("say what to write: --html FILE, --pdf FILE or --bag FILE.zip", Exit.USAGE)
    installation = Installation.at(home)
    if html is not None or pdf is not None:
        page = _page(installation, batch, essays=essays)
        if html is not None:
            _write(html, lambda: (page.encode(),))
        if pdf is not None:
            from huleedu_dagster.reports.printing import pdf_of

            _write(pdf, lambda: (pdf_of(page),))
    if bag is not None:
        from huleedu_dagster.reports.bag import bag_pieces
        from huleedu_dagster.reports.bag_content import BagContent

        content = BagContent.read(installation.ledger, installation.blobs, batch)
        _write(bag, lambda: bag_pieces(content, datetime.now(UTC).date()))


def check_bag(
    file: Annotated[Path, typer.Argument(help="A bag that `huleedu report --bag` wrote.")],
) -> None:
    """Check every file of a bag against its manifests."""
    from huleedu_dagster.reports import bag_check

    try:
        count = bag_check.check_bag(file)
    except bag_check.DamagedBagError as error:
        for path in error.paths:
            typer.echo(path, err=True)
        fail(f"{error}; take it from another copy, or write it again", Exit.INFRASTRUCTURE)
    typer.echo(f"All {count} files are as they were packed")


def _page(installation: Installation, batch: str, *, essays: bool) -> str:
    from huleedu_dagster.pipeline.views import BatchFacts
    from huleedu_dagster.reports.batch import batch_html
    from huleedu_dagster.reports.batch_content import BatchReport
    from huleedu_dagster.reports.sheets import sheets_of

    with installation.ledger.read() as tx:
        facts = BatchFacts.read(tx, batch)
    content = BatchReport.of(facts, installation.blobs)
    sheets = sheets_of(facts, content, installation.blobs) if essays else ()
    return batch_html(content, tuple(sheets))


def _write(path: Path, pieces: Callable[[], Iterable[bytes]]) -> None:
    """Write a file whole or not at all; what was there is replaced then."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        with temporary.open("wb") as out:
            for piece in pieces():
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    typer.echo(path)
