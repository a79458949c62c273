"""Starts the program that keeps a server for this session and ends with it."""

import atexit
import subprocess
import sys
from pathlib import Path


def kept_server(name: str, keeper: Path, *arguments: str) -> str:
    """Start a server by its keeper; gives the line that tells where it is.

    Args:
        name: Name of the server, for the message when it does not start.
        keeper: The program that starts the server and ends it when this process is gone.
        arguments: What the keeper is told to run.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(keeper), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # An interrupt from the keyboard is for the tests; the server goes after them.
        start_new_session=True,
    )
    atexit.register(_end, process)
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, f"{name} did not start; what it said is above"
    return line


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    process.wait(30)
