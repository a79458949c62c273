"""`huleedu trace`: the whole way of what came under a correlation id."""

from typing import Annotated

import typer

from huleedu_dagster.cli.common import HomeOption, Installation, JsonOption, print_json
from huleedu_dagster.cli.tables import print_rows
from huleedu_dagster.domain.ids import check_slot
from huleedu_dagster.pipeline.traces import Step
from huleedu_dagster.pipeline.traces import trace as traced

_COLUMNS = ("time (UTC)", "after s", "batch", "essay", "what", "detail", "took ms", "run")


def trace(
    correlation_id: Annotated[
        str, typer.Argument(help="As the answer of the intake, an event or a line of a log has it.")
    ],
    essay: Annotated[
        str | None, typer.Option("--essay", help="Only this essay of the request: its slot.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the whole way of an essay, or of all essays of a request, with times.

    It names no files: what is printed may be passed on.
    """
    wanted = correlation_id.strip().lower()
    slot = None if essay is None else check_slot(essay)
    steps = traced(Installation.at(home).ledger, wanted, slot)
    if as_json:
        print_json({"correlation_id": wanted, "steps": [it.told() for it in steps]})
    else:
        print_rows(f"Trace of {wanted}", _COLUMNS, (_row(it, steps[0]) for it in steps))


def _row(step: Step, first: Step) -> tuple[object, ...]:
    return (
        f"{step.at:%Y-%m-%d %H:%M:%S}.{step.at.microsecond // 1000:03d}",
        f"{(step.at - first.at).total_seconds():.3f}",
        step.batch_id,
        step.slot,
        step.what,
        step.detail,
        step.duration_ms,
        step.run_id,
    )
