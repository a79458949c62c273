"""`huleedu up`: the pages, the sensors and the runs of a home, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, fail
from huleedu_dagster.orchestration.databases import DatabaseError, check_content
from huleedu_dagster.orchestration.home import HomeInUseError
from huleedu_dagster.orchestration.server import HOST, Server, ServerError
from huleedu_dagster.settings import Settings

PortOption = Annotated[
    int, typer.Option("--port", min=1, max=65535, help="Port of Dagster's pages on this machine.")
]

IntakePortOption = Annotated[
    int,
    typer.Option("--intake-port", min=1, max=65535, help="Port of the intake on this machine."),
]


class _Progress:
    """Prints how the start goes: with colour on a terminal, as plain lines elsewhere."""

    def __init__(self, settings: Settings, intake_port: int) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._settings = settings
        self._intake_port = intake_port

    def ready(self, part: str, seconds: float) -> None:
        """See `Listener.ready`."""
        self._console.print(f"[green]ready[/green] {part} ({seconds:.1f} s)")

    def up(self, url: str, seconds: float) -> None:
        """See `Listener.up`."""
        pages = f"http://{HOST}:{self._intake_port}"
        self._console.print(f"[bold green]up[/bold green] after {seconds:.1f} s: [bold]{pages}[/]")
        self._console.print("It opens signed in for you, on this computer and for nobody else.")
        self._told("Intake over HTTP: the same address; its token:", self._settings.token_file)
        self._told("Dagster's pages:", url)
        self._told("Watching the inbox:", self._settings.inbox_folder)
        self._console.print("Ctrl-C ends it.")

    def stopping(self) -> None:
        """See `Listener.stopping`."""
        self._console.print("stopping; Ctrl-C once more does not wait for what is running")

    def _told(self, what: str, where: str | Path) -> None:
        self._console.print(what, end=" ")
        self._console.print(str(where), markup=False)


def up(
    home: HomeOption = None, port: PortOption = 3000, intake_port: IntakePortOption = 8000
) -> None:
    """Start the pages, the sensors, the runs and the intake, and go on until Ctrl-C.

    Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 the home is in use, the port is taken, or a part
    could not start or ended by itself; 2 HULEEDU_BROKER_URL is set.
    """
    installation = Installation.at(home)
    if installation.settings.broker_url:
        found = "HULEEDU_BROKER_URL is set, and `huleedu up` starts no workers"
        fail(f"{found}; start each part with `huleedu serve`, or unset it", Exit.USAGE)
    progress = _Progress(installation.settings, intake_port)
    installation.prepare_spelling(installation.settings.language)
    try:
        check_content(installation.settings)
        # Before anything else opens it: the migration is one for all processes.
        installation.ledger.close()
        Server(installation.settings, port, intake_port, progress).run()
    except HomeInUseError as error:
        fail(f"{error}; end it first, or choose another home with --home", Exit.INFRASTRUCTURE)
    except (DatabaseError, ServerError) as error:
        fail(str(error), Exit.INFRASTRUCTURE)
    except OSError as error:
        fail(f"the home folder cannot be used: {error.strerror}", Exit.INFRASTRUCTURE)
