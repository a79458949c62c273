"""What the commands share: the home folder, exit codes, and how results are printed."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

# A health check has this module, too: what is heavy is imported where it is used.
if TYPE_CHECKING:
    from huleedu_dagster.domain.completeness import BatchStatus
    from huleedu_dagster.ledger.ledger import Ledger
    from huleedu_dagster.pipeline.intake import Intake
    from huleedu_dagster.pipeline.views import BatchView
    from huleedu_dagster.settings import Settings
    from huleedu_dagster.storage.port import BlobStore


class Exit(IntEnum):
    """Exit codes of every command."""

    READY = 0
    INFRASTRUCTURE = 1
    USAGE = 2
    INCOMPLETE = 3
    INTERRUPTED = 130


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Home folder; HULEEDU_HOME or ~/.huleedu when left out."),
]
MOST_NUMBER = 2**63 - 1
"""The highest number that a row can have."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@dataclass(frozen=True)
class Installation:
    """The installation in a home folder, opened when it is first used."""

    settings: "Settings"

    @classmethod
    def at(cls, home: Path | None) -> "Installation":
        """The installation in `home`, and in the environment for processes started from here."""
        from huleedu_dagster.observability.logs import configure_command
        from huleedu_dagster.settings import Settings

        settings = Settings() if home is None else Settings(home=home)
        os.environ["HULEEDU_HOME"] = str(settings.home)
        if settings.dagster_database_url:
            # Dagster's configuration then names the variable, and the password is in no file.
            os.environ["HULEEDU_DAGSTER_DATABASE_URL"] = settings.dagster_database_url
        # For runs in this process, as for all others: what an error says may quote texts and names.
        os.environ["DAGSTER_REDACT_USER_CODE_ERRORS"] = "true"
        configure_command(settings)
        return cls(settings)

    @cached_property
    def ledger(self) -> "Ledger":
        """The ledger, its schema up to date, on which the user of this account acts."""
        from huleedu_dagster.domain.actions import Actor
        from huleedu_dagster.ledger.ledger import Ledger

        self.settings.make_home()
        ledger = Ledger.of(self.settings)
        ledger.migrate()
        return ledger.acting(Actor.operator(account_name()))

    @cached_property
    def blobs(self) -> "BlobStore":
        """The blob store."""
        from huleedu_dagster.storage.choose import open_store

        return open_store(self.settings)

    @cached_property
    def intake(self) -> "Intake":
        """What takes files in."""
        from huleedu_dagster.pipeline.intake import Intake

        return Intake(self.ledger, self.blobs, self.settings.max_slots)

    def prepare_spelling(self, language: str) -> None:
        """Make sure the dictionary of a language is ready; say on standard error if it takes time.

        Raises:
            IndexUnavailableError: There is no whole index and it cannot be built.
            OSError: The dictionary cannot be read.
        """
        from huleedu_dagster.resources.speller import SpellerResource

        def tell(sentence: str) -> None:
            typer.echo(sentence, err=True)

        SpellerResource.of(self.settings).prepare(language, tell)

    def view(self, batch_id: str) -> "BatchView":
        """A batch as readers are told.

        Raises:
            UnknownBatchError: It is not registered.
        """
        from huleedu_dagster.pipeline.views import BatchFacts, batch_view

        with self.ledger.read() as tx:
            return batch_view(BatchFacts.read(tx, batch_id), tx.now)


def account_name() -> str:
    """The name of the account that a command runs as; its number where it has no name.

    Of the system, not of the environment, in which anybody can call themselves anything.
    """
    import pwd

    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        # In a container, often.
        return f"uid {user}"


def exit_code(status: "BatchStatus") -> Exit:
    """The exit code of a command that ends with a batch in this state."""
    from huleedu_dagster.domain.completeness import BatchStatus

    return Exit.READY if status is BatchStatus.READY else Exit.INCOMPLETE


def fail(message: str, code: Exit) -> NoReturn:
    """Say what is wrong on standard error and end with `code`."""
    typer.echo(f"huleedu: {message}", err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_list(values: Iterable[Any]) -> None:
    """Print a list as one JSON value, of which an item at a time is held."""
    before = "["
    for value in values:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        typer.echo(f"{before}\n{indent(text, '  ')}", nl=False)
        before = ","
    typer.echo("[]" if before == "[" else "\n]")
