"""`huleedu dlq`: dead letters, shown and replayed."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from huleedu_dagster.cli.batches import WaitOption
from huleedu_dagster.cli.common import (
    MOST_NUMBER,
    HomeOption,
    Installation,
    JsonOption,
    exit_code,
    print_json,
)
from huleedu_dagster.cli.tables import print_batch, print_rows
from huleedu_dagster.cli.work import work_and_export
from huleedu_dagster.ledger.records import DeadLetter
from huleedu_dagster.pipeline import lifecycle

app = typer.Typer(no_args_is_help=True, help="Dead letters: what failed too often.")

_NumberArgument = Annotated[int, typer.Argument(max=MOST_NUMBER, help="Number of the dead letter.")]


@app.command("list")
def list_letters(
    every: Annotated[bool, typer.Option("--all", help="Those that are not open too.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List open dead letters."""
    letters = lifecycle.dead_letters(Installation.at(home).ledger, only_open=not every)
    rows = [_row(it) for it in letters]
    if as_json:
        print_json(rows)
    else:
        names = ("dead_letter_id", "batch_id", "slot", "reason", "attempts", "state")
        print_rows("Dead letters", names, ([row[name] for name in names] for row in rows))


@app.command()
def show(number: _NumberArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show one dead letter."""
    with Installation.at(home).ledger.read() as tx:
        row = _row(tx.failures.dead_letter(number))
    if as_json:
        print_json(row)
    else:
        print_rows(f"Dead letter {number}", ("what", "value"), row.items())


@app.command()
def replay(
    number: _NumberArgument,
    wait: WaitOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a dead letter be tried again, by `huleedu up` or with `--wait` here and now."""
    installation = Installation.at(home)
    letter = lifecycle.replay(installation.ledger, number)
    if wait:
        view, _ = work_and_export(installation, letter.batch_id)
        if as_json:
            print_json(view.model_dump(mode="json"))
        else:
            print_batch(view)
        raise typer.Exit(exit_code(view.status))
    if as_json:
        print_json(_row(letter))
    else:
        typer.echo(f"{letter.batch_id} {letter.slot} will be tried again")


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in asdict(letter).items()
    }
