"""Command lines of the parts of an installation: the same ones for `up`, `serve` and the tests."""

import os
from enum import StrEnum
from pathlib import Path

from huleedu_dagster.orchestration.child import python_module
from huleedu_dagster.orchestration.launching import worker_command
from huleedu_dagster.orchestration.locations import LOCATION, MODULE
from huleedu_dagster.settings import Settings

LOOPBACK = "127.0.0.1"
WORKSPACE = "workspace.yaml"


class Part(StrEnum):
    """A long-running program of an installation."""

    CODE_SERVER = "code-server"
    WEB_SERVER = "web-server"
    DAEMON = "daemon"
    INTAKE = "intake"
    WORKER = "worker"


PORTS = {Part.CODE_SERVER: 4000, Part.WEB_SERVER: 3000, Part.INTAKE: 8000}
"""Where a part listens if nothing else is said; the others listen nowhere."""


def code_server(host: str, port: int) -> list[str]:
    """The program that has the definitions; who reaches its port can run code."""
    return [
        *_logged("dagster"),
        *("api", "grpc", "--host", host, "--port", str(port), "--location-name", LOCATION),
        *("--module-name", MODULE, "--attribute", "defs", "--empty-working-directory"),
        *("--log-level", "warning"),
    ]


def web_server(host: str, port: int, workspace: Path, *, read_only: bool = False) -> list[str]:
    """The program with Dagster's pages; they ask nobody for a password."""
    return [
        *_logged("dagster_webserver"),
        *("--host", host, "--port", str(port), "--workspace", str(workspace)),
        *("--dagster-log-level", "warning"),
        *(("--read-only",) if read_only else ()),
    ]


def daemon(workspace: Path) -> list[str]:
    """The program that ticks sensors and schedules and starts runs; one for an installation."""
    # Each tick is on the pages; in the log it would be millions of lines a year.
    return [
        *_logged("dagster._daemon"),
        *("run", "--workspace", str(workspace), "--log-level", "warning"),
    ]


def intake(host: str, port: int, *, embedded: bool = False) -> list[str]:
    """The program with the pages for teachers and the HTTP interface.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        embedded: Whether whoever sits at this computer is signed in without a token.
    """
    program = [*python_module("huleedu_dagster.intake"), "--host", host, "--port", str(port)]
    return [*program, "--embedded"] if embedded else program


def worker(settings: Settings) -> list[str]:
    """The program that executes runs the broker hands out.

    Raises:
        ValueError: The settings name no broker that can be used.
    """
    return worker_command(settings)


def _logged(program: str) -> list[str]:
    return [*python_module("huleedu_dagster.orchestration.logged"), program]


def write_workspace(folder: Path, host: str, port: int) -> Path:
    """Write the file that tells web server and daemon where the code server is.

    Args:
        folder: Dagster's folder.
        host: Host of the code server.
        port: Its port.

    Returns:
        The file.

    Raises:
        OSError: The folder cannot be written.
    """
    import yaml

    server = {"host": host, "port": port, "location_name": LOCATION}
    path = folder / WORKSPACE
    # Several parts may share the folder; none may read half a file.
    new = path.with_suffix(f".{os.getpid()}.new")
    new.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    new.replace(path)
    return path
