"""Options of the commands that are about one part of an installation."""

from typing import Any

import typer

from huleedu_dagster.orchestration.programs import PORTS

LISTENERS = ", ".join(PORTS)
"""The parts that listen, for help texts."""


def port_option(meaning: str) -> Any:
    """The option `--port`, whose 0 is the usual port of the part.

    Args:
        meaning: What it is, for people.
    """
    usual = ", ".join(f"{port} for the {part}" for part, port in PORTS.items())
    return typer.Option("--port", min=0, max=65535, help=f"{meaning}; 0 is {usual}.")
