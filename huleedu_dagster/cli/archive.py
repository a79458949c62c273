"""The command that takes old batches off Dagster's pages."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from huleedu_dagster.cli.common import HomeOption, Installation, JsonOption, print_json

_CENTURY = 36_525


def archive(
    older_than: Annotated[
        int,
        typer.Option("--older-than", min=2, max=_CENTURY, help="Days since a batch was released."),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell which batches it would be, and change nothing.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take batches that were released long ago off Dagster's pages; all their results stay."""
    from huleedu_dagster.orchestration import archiving
    from huleedu_dagster.orchestration.home import DagsterHome

    installation = Installation.at(home)
    before = datetime.now(UTC) - timedelta(days=older_than)
    choose = archiving.to_archive if dry_run else archiving.archive
    with DagsterHome(installation.settings).instance() as instance:
        found = choose(instance, installation.ledger, before)
    if as_json:
        print_json({"archived": [] if dry_run else found, "found": found})
    else:
        for batch_id in found:
            typer.echo(batch_id)
    done = "Batches that would be archived" if dry_run else "Batches archived"
    typer.echo(f"{done}: {len(found)}", err=True)
