"""Runs a program of Dagster with this project's log lines: `python -m … dagster api grpc …`.

Dagster's programs configure their own lines; told to by the standard library's hook for that, they
leave it to ours. A process that the code server starts for a run imports this module as its own
main module, as `multiprocessing` does everywhere, and so has the same lines.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from huleedu_dagster.observability.logs import configure_service
from huleedu_dagster.settings import Settings

_PROGRAMS = {
    "dagster": "dagster._cli",
    "dagster_webserver": "dagster_webserver.cli",
    "dagster._daemon": "dagster._daemon.cli",
}
_MAIN, _MAIN_OF_A_RUN = "__main__", "__mp_main__"


def main(arguments: Sequence[str]) -> None:
    """Become one of Dagster's programs.

    Args:
        arguments: Module of the program and its command line.

    Raises:
        KeyError: The program is none of these.
    """
    sys.argv = list(arguments)
    import_module(_PROGRAMS[arguments[0]]).main()


if __name__ in (_MAIN, _MAIN_OF_A_RUN):
    configure_service(Settings())
if __name__ == _MAIN:
    main(sys.argv[1:])
