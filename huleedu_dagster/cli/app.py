"""The command `huleedu`.

Exit codes: 0 settled and ready, 1 infrastructure, 2 usage, 3 incomplete, 130 stopped by Ctrl-C.
"""

import sys

import typer

from huleedu_dagster.cli import (
    batches,
    dead_letters,
    dictionaries,
    doctor,
    events,
    relay,
    run,
    schemas,
    server,
    tokens,
)
from huleedu_dagster.cli.common import Exit


def build_app() -> typer.Typer:
    """All commands."""
    app = typer.Typer(
        name="huleedu",
        help="Takes in a class's essays: stored, extracted, validated, spell-checked, released.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.command()(run.run)
    app.command()(run.submit)
    app.command()(run.demo)
    app.command()(batches.register)
    app.command()(batches.close)
    app.command()(batches.reopen)
    app.command()(batches.waive)
    app.command()(batches.reprocess)
    app.command()(batches.status)
    app.command()(batches.show)
    app.command()(events.events)
    app.command()(server.up)
    app.command()(doctor.doctor)
    app.command()(schemas.schemas)
    app.add_typer(dead_letters.app, name="dlq")
    app.add_typer(dictionaries.app, name="dictionaries")
    app.add_typer(relay.app, name="relay")
    app.add_typer(tokens.app, name="tokens")
    return app


def main() -> None:
    """Run the command line; what goes wrong is one sentence and an exit code.

    A defect of the program itself keeps its traceback.
    """
    try:
        build_app()()
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
    from huleedu_dagster.orchestration.home import HomeInUseError
    from huleedu_dagster.orchestration.in_process import TickFailedError
    from huleedu_dagster.pipeline.essay_views import UnknownEssayError
    from huleedu_dagster.pipeline.lifecycle import (
        EmptyReasonError,
        NotReplayableError,
        NotWaivableError,
    )
    from huleedu_dagster.storage.port import BlobStoreError

    unknown = {
        UnknownBatchError: "no batch {} is registered",
        UnknownEssayError: "the batch has no essay {}",
        UnknownDeadLetterError: "there is no dead letter {}",
    }
    for kind, sentence in unknown.items():
        if isinstance(error, kind):
            return Exit.USAGE, sentence.format(error)
    if isinstance(error, ValidationError):
        sentences = (it["msg"].removeprefix("Value error, ") for it in error.errors())
        return Exit.USAGE, "; ".join(sentences)
    if isinstance(error, InvalidIdError | NotWaivableError | NotReplayableError | EmptyReasonError):
        return Exit.USAGE, str(error)
    if isinstance(error, StoppedError):
        return Exit.INTERRUPTED, str(error)
    if isinstance(error, SQLAlchemyError):
        return Exit.INFRASTRUCTURE, f"the ledger cannot be used ({type(error).__name__})"
    if isinstance(error, OSError | BlobStoreError | StuckError | TickFailedError | HomeInUseError):
        return Exit.INFRASTRUCTURE, str(error)
    return None


if __name__ == "__main__":
    main()
