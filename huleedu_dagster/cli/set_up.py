"""`huleedu set-up`: databases and buckets, before the parts of an installation start."""

from typing import Annotated

import typer

from huleedu_dagster.cli.common import Exit, HomeOption, Installation, fail

WaitOption = Annotated[
    float,
    typer.Option("--wait", min=0, help="Seconds to wait for servers that do not answer yet."),
]


def set_up(home: HomeOption = None, wait: WaitOption = 60) -> None:
    """Make buckets, the ledger's tables and Dagster's tables; harmless when they are there.

    Run it once before `huleedu serve`, and again after an upgrade, while no part is running.

    Exit codes: 0 all is there; 1 a server does not answer or refuses, or ledger and Dagster are
    given the same database.
    """
    from huleedu_dagster.orchestration.databases import DatabaseError
    from huleedu_dagster.orchestration.set_up import SetUp

    installation = Installation.at(home)
    try:
        SetUp(installation.settings, typer.echo, wait).run()
    except DatabaseError as error:
        fail(str(error), Exit.INFRASTRUCTURE)
    except OSError as error:
        fail(error.strerror or str(error), Exit.INFRASTRUCTURE)
