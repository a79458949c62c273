"""`huleedu serve`: one part of an installation, for containers and other supervisors."""

from typing import Annotated

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, fail
from huleedu_dagster.cli.parts import LISTENERS, port_option
from huleedu_dagster.orchestration.programs import LOOPBACK, PORTS, Part

PartArgument = Annotated[Part, typer.Argument(help="The part to become.")]
HostOption = Annotated[str, typer.Option("--host", help=f"Address to listen on ({LISTENERS}).")]
PortOption = Annotated[int, port_option("Port to listen on")]
CodeServerOption = Annotated[
    str,
    typer.Option(
        "--code-server",
        metavar="HOST:PORT",
        help="Where the code-server is (web-server, daemon).",
    ),
]
ReadOnlyOption = Annotated[
    bool,
    typer.Option("--read-only", help="Let nobody start or change anything (web-server)."),
]


def serve(
    part: PartArgument,
    home: HomeOption = None,
    host: HostOption = LOOPBACK,
    port: PortOption = 0,
    code_server: CodeServerOption = f"{LOOPBACK}:{PORTS[Part.CODE_SERVER]}",
    read_only: ReadOnlyOption = False,
) -> None:
    """Become one part of an installation: write Dagster's configuration, then run the program.

    `huleedu set-up` comes first. An installation has one daemon; of the other parts it may have
    more. The web-server and the code-server ask nobody who they are: let only this machine, or a
    network of their own, reach them. Whoever reaches the code-server can run code there. The
    intake asks for tokens.

    Exit codes: those of the program; 1 `huleedu set-up` has not run, or a database cannot be used;
    2 a setting is missing that this part needs.
    """
    from huleedu_dagster.orchestration.databases import DatabaseError
    from huleedu_dagster.orchestration.home import HomeInUseError
    from huleedu_dagster.orchestration.serving import Serving

    settings = Installation.at(home).settings
    address = _address(code_server)
    try:
        Serving(settings, part, host, port, address, read_only).become()
    except (DatabaseError, HomeInUseError) as error:
        fail(str(error), Exit.INFRASTRUCTURE)
    except ValueError as error:
        fail(str(error), Exit.USAGE)
    except ImportError as error:
        found = f"{error.name or error} is not installed"
        fail(f"{found}; install `huleedu-dagster[scale]`", Exit.INFRASTRUCTURE)
    except OSError as error:
        fail(f"the home folder cannot be used: {error.strerror}", Exit.INFRASTRUCTURE)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit()):
        fail(f"--code-server {text!r} is not HOST:PORT", Exit.USAGE)
    return host, int(port)
