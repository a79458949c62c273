"""`huleedu history`: what was done to a batch or on a day, when and by whom."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from huleedu_dagster.cli.common import (
    Exit,
    HomeOption,
    Installation,
    JsonOption,
    fail,
    print_json,
)
from huleedu_dagster.cli.tables import print_rows
from huleedu_dagster.pipeline.history import Deed, history_of_batch, history_of_day

if TYPE_CHECKING:
    from huleedu_dagster.ledger.ledger import Ledger

_COLUMNS = ("time (UTC)", "who", "what", "batch", "essay", "correlation id")


def history(
    batch: Annotated[str | None, typer.Argument(help="Id of the batch.")] = None,
    day: Annotated[
        datetime | None,
        typer.Option(
            "--day", formats=["%Y-%m-%d"], help="What was done to all batches on a day, in UTC."
        ),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what was done to a batch or on a day, when, and by whom.

    Names of tokens and accounts are printed, and no names of files.
    """
    if (batch is None) is (day is None):
        fail("give the id of a batch, or --day", Exit.USAGE)
    ledger = Installation.at(home).ledger
    if batch is not None:
        title, deeds = f"History of batch {batch}", history_of_batch(ledger, batch)
    else:
        assert day is not None
        title, deeds = f"History of {day:%Y-%m-%d}", _of_day(ledger, day)
    if as_json:
        print_json([it.told() for it in deeds])
        return
    print_rows(title, _COLUMNS, map(_row, deeds))
    if not deeds:
        typer.echo("Nothing is recorded; what older versions did, nobody noted", err=True)


def _of_day(ledger: "Ledger", day: datetime) -> list[Deed]:
    try:
        return history_of_day(ledger, day.date())
    except ValueError as error:
        fail(str(error), Exit.USAGE)


def _row(deed: Deed) -> tuple[object, ...]:
    it = deed.record
    at = f"{it.acted_at:%Y-%m-%d %H:%M:%S}"
    return (at, deed.who, deed.what, it.batch_id, it.slot, it.correlation_id)
