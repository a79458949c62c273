"""The command `huleedu`.

Exit codes: 0 settled and ready, 1 infrastructure, 2 usage, 3 incomplete, 130 stopped by Ctrl-C.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

import typer

from huleedu_dagster.cli.common import Exit

if TYPE_CHECKING:
    from pydantic import ValidationError

_COMMANDS = {
    "run": "run.run",
    "submit": "run.submit",
    "demo": "run.demo",
    "register": "batches.register",
    "close": "batches.close",
    "reopen": "batches.reopen",
    "waive": "batches.waive",
    "reprocess": "batches.reprocess",
    "archive": "archive.archive",
    "status": "batches.status",
    "show": "batches.show",
    "report": "report.report",
    "check-bag": "report.check_bag",
    "events": "events.events",
    "trace": "trace.trace",
    "audit": "audit.audit",
    "history": "history.history",
    "up": "server.up",
    "set-up": "set_up.set_up",
    "serve": "serve.serve",
    "health": "health.health",
    "doctor": "doctor.doctor",
    "schemas": "schemas.schemas",
    "dlq": "dead_letters.app",
    "dictionaries": "dictionaries.app",
    "relay": "relay.app",
    "tokens": "tokens.app",
}
"""Where each command, or group of commands, is in this package."""


def build_app(only: str | None = None) -> typer.Typer:
    """All commands, or one.

    Args:
        only: Name of the command, or group, whose module alone is imported: a health check is run
            every few seconds, and the other commands bring the ledger. All for any other name.
    """
    app = typer.Typer(
        name="huleedu",
        help="Takes in a class's essays: stored, extracted, validated, spell-checked, released.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    # A single command would otherwise be the program itself, without a name.
    app.callback()(_nothing)
    for name in (only,) if only in _COMMANDS else _COMMANDS:
        module, attribute = _COMMANDS[name].split(".")
        found = getattr(import_module(f"huleedu_dagster.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _nothing() -> None:
    pass


def main() -> None:
    """Run the command line; what goes wrong is one sentence and an exit code.

    A defect of the program itself keeps its traceback.
    """
    try:
        build_app(next(iter(sys.argv[1:]), None))()
    except Exception as error:
        found = _explained(error)
        if found is None:
            raise
        code, sentence = found
        typer.echo(f"huleedu: {sentence}", err=True)
        sys.exit(code)


def _explained(error: Exception) -> tuple[Exit, str] | None:
    from pydantic import ValidationError
    from sqlalchemy.exc import SQLAlchemyError

    from huleedu_dagster.cli.interrupts import StoppedError
    from huleedu_dagster.cli.work import StuckError
    from huleedu_dagster.domain.ids import InvalidIdError
    from huleedu_dagster.ledger.batches import UnknownBatchError
    from huleedu_dagster.ledger.failures import UnknownDeadLetterError
    from huleedu_dagster.ledger.migrations.runner import TablesInUseError, UnknownRevisionError
    from huleedu_dagster.orchestration.databases import DatabaseError, is_of_dagster
    from huleedu_dagster.orchestration.home import HomeInUseError
    from huleedu_dagster.orchestration.in_process import TickFailedError
    from huleedu_dagster.pipeline.essay_views import UnknownEssayError
    from huleedu_dagster.pipeline.lifecycle import (
        EmptyReasonError,
        NotReplayableError,
        NotWaivableError,
    )
    from huleedu_dagster.pipeline.traces import UnknownCorrelationError
    from huleedu_dagster.storage.port import BlobStoreError

    unknown = {
        UnknownBatchError: "no batch {} is registered",
        UnknownEssayError: "the batch has no essay {}",
        UnknownDeadLetterError: "there is no dead letter {}",
        UnknownCorrelationError: "nothing is known of {}; `huleedu events` shows correlation ids",
    }
    for kind, sentence in unknown.items():
        if isinstance(error, kind):
            return Exit.USAGE, sentence.format(error)
    if isinstance(error, ValidationError):
        return Exit.USAGE, "; ".join(_invalid(error))
    if isinstance(error, InvalidIdError | NotWaivableError | NotReplayableError | EmptyReasonError):
        return Exit.USAGE, str(error)
    if isinstance(error, StoppedError):
        return Exit.INTERRUPTED, str(error)
    if is_of_dagster(error):
        return Exit.INFRASTRUCTURE, "Dagster's database does not answer; `huleedu doctor` says more"
    if isinstance(error, SQLAlchemyError):
        return Exit.INFRASTRUCTURE, (
            f"the ledger cannot be used ({type(error).__name__}); `huleedu doctor` says more"
        )
    infrastructure = BlobStoreError | StuckError | TickFailedError | HomeInUseError | DatabaseError
    if isinstance(error, OSError | UnknownRevisionError | TablesInUseError | infrastructure):
        return Exit.INFRASTRUCTURE, str(error)
    return None


def _invalid(error: "ValidationError") -> Iterator[str]:
    """What is wrong with settings or options; of one setting, which one it is."""
    for it in error.errors():
        sentence = it["msg"].removeprefix("Value error, ")
        name = str(it["loc"][0]) if it["loc"] else ""
        if name and error.title == "Settings":
            yield f"HULEEDU_{name.upper()}: {sentence}"
        elif name and it["type"] != "value_error":
            # A sentence of the library's, which does not tell what it is about.
            yield f"{name.replace('_', ' ')}: {sentence}"
        else:
            yield sentence


if __name__ == "__main__":
    main()
