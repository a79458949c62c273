"""The broker of the tests ends with the session, however that ends."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.waiting import wait_for

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

    def is_left() -> bool:
        return answers(port) or folder.exists() or any(it.is_running() for it in started)

    # The keeper looks each second, and gives the server time to end.
    wait_for(lambda: not is_left(), 60)
