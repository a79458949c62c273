"""`huleedu serve`: one part of an installation in a process of its own, which others supervise."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NoReturn

from huleedu_dagster.orchestration import programs
from huleedu_dagster.orchestration.databases import check_ready
from huleedu_dagster.orchestration.home import DagsterHome
from huleedu_dagster.orchestration.programs import Part
from huleedu_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class Serving:
    """One part and where it is.

    Attributes:
        settings: The installation.
        part: What is served.
        host: Address to listen on, for parts that listen.
        port: Port to listen on.
        code_server: Host and port of the code server, for web server and daemon.
        read_only: Whether nobody can start or change anything on Dagster's pages.
    """

    settings: Settings
    part: Part
    host: str = programs.LOOPBACK
    port: int = 0
    code_server: tuple[str, int] = (programs.LOOPBACK, programs.PORTS[Part.CODE_SERVER])
    read_only: bool = False

    def become(self) -> NoReturn:
        """Write Dagster's configuration and become the program, in this very process.

        Raises:
            HomeInUseError: Another daemon works on this home.
            DatabaseError: `huleedu set-up` has not run, or a database cannot be used.
            ValueError: A setting is missing that this part needs.
            OSError: The home cannot be written, or the program not started.
        """
        check_ready(self.settings)
        home = DagsterHome(self.settings)
        # With the URL in the environment it is not written down.
        os.environ.update(home.environment())
        os.environ["PGAPPNAME"] = self.part
        home.prepare()
        program = self._program(home)
        held = ExitStack()
        if self.part is Part.DAEMON:
            # Never let go of: the program has it to its end.
            held.enter_context(home.exclusive("serve daemon", kept=True))
        os.execv(program[0], program)  # noqa: S606 - a program of our own

    def _program(self, home: DagsterHome) -> list[str]:
        port = self.port or programs.PORTS.get(self.part, 0)
        match self.part:
            case Part.CODE_SERVER:
                return programs.code_server(self.host, port)
            case Part.WEB_SERVER:
                workspace = programs.write_workspace(home.folder, *self.code_server)
                return programs.web_server(self.host, port, workspace, read_only=self.read_only)
            case Part.DAEMON:
                return programs.daemon(programs.write_workspace(home.folder, *self.code_server))
            case Part.INTAKE:
                return programs.intake(self.host, port)
            case Part.WORKER:
                return programs.worker(self.settings)
