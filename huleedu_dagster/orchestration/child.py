"""Becomes another program that ends when its parent does, however the parent ends.

Run as `python -m huleedu_dagster.orchestration.child PARENT PROGRAM ARGUMENT…`. A program of its
own, since code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def command(program: Sequence[str]) -> list[str]:
    """The command line that starts `program` as a child of this process."""
    return [*python_module(__name__), str(os.getpid()), *program]


def python_module(name: str) -> list[str]:
    """The command line of a module; files in the current folder cannot stand in for modules."""
    return [sys.executable, "-P", "-m", name]


def main(arguments: Sequence[str]) -> None:
    """Ask the kernel to kill this process at the parent's end, then become the program.

    Killed, not asked to end: the servers would first wait for each other and for their runs.

    Elsewhere than on Linux there is no such request; the next start ends what was left over.
    """
    parent, *program = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        # The parent was gone before the request was made.
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - the program is the supervisor's own choice


if __name__ == "__main__":
    main(sys.argv[1:])
