"""The broker of the tests ends with the session, however that ends."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

_SESSION = """
import sys
from tests.support.valkey import broker_url

print(broker_url(), flush=True)
sys.stdin.read()
"""


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_the_broker_of_a_session_that_was_killed(number: int) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", _SESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert session.stdout is not None
    port = int(session.stdout.readline().strip().rpartition(":")[2].partition("/")[0])
    started = psutil.Process(session.pid).children(recursive=True)
    (server,) = [it for it in started if it.name() == "valkey-server"]
    folder = Path(server.cwd())
    assert answers(port)

    session.send_signal(number)
    session.communicate()

    assert session.returncode == -number
    until = time.monotonic() + 20
    while answers(port) or folder.exists() or any(it.is_running() for it in started):
        assert time.monotonic() < until, "something is left"
        time.sleep(0.02)
