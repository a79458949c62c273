"""`huleedu health`: the health check of one part, for containers and other supervisors."""

from typing import Annotated

import typer

from huleedu_dagster.cli.parts import LISTENERS, port_option
from huleedu_dagster.orchestration import probes
from huleedu_dagster.orchestration.programs import LOOPBACK, PORTS, Part
from huleedu_dagster.settings import Settings

_UNWELL = 1

PartArgument = Annotated[Part, typer.Argument(help="The part to look at.")]
HostOption = Annotated[str, typer.Option("--host", help=f"Where it listens ({LISTENERS}).")]
PortOption = Annotated[int, port_option("Port it listens on")]


def health(part: PartArgument, host: HostOption = LOOPBACK, port: PortOption = 0) -> None:
    """Say in a line whether one part is well.

    code-server: it answers and has its definitions. web-server: it answers and has loaded them.
    daemon: its last heartbeats in Dagster's database are young. intake: it answers and can use its
    ledger and its blob store. worker: the one on this machine answers over the broker.

    Exit codes: 0 it is; 1 it is not.
    """
    try:
        typer.echo(_ask(part, host, port or PORTS.get(part, 0)))
    except probes.UnhealthyError as error:
        typer.echo(f"huleedu: {error}", err=True)
        raise typer.Exit(_UNWELL) from None


def _ask(part: Part, host: str, port: int) -> str:
    match part:
        case Part.CODE_SERVER:
            return probes.code_server(host, port)
        case Part.WEB_SERVER:
            return probes.web_server(host, port)
        case Part.DAEMON:
            return probes.daemon(Settings())
        case Part.INTAKE:
            return probes.intake(host, port)
        case Part.WORKER:
            return probes.worker(Settings())
