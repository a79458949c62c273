"""The Postgres server of the tests ends with the session, however that ends."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from tests.support.waiting import wait_for

_SESSION = """
import sys
from tests.support.postgres import postgres_database

with postgres_database() as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def processes_in(folder: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["name", "cmdline"])
    return [it for it in found if str(folder) in " ".join(it.info["cmdline"] or ())]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_of_the_server_of_a_session_that_was_killed(number: int) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", _SESSION], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert session.stdout is not None
    url = sa.make_url(session.stdout.readline().strip())
    folder = Path(str(url.query["host"]))
    started = [it.info for it in processes_in(folder)]
    data = {Path(it["cmdline"][2]) for it in started if "postgres" in it["name"]}
    assert data

    session.send_signal(number)
    session.communicate()

    assert session.returncode == -number

    def is_left() -> bool:
        return bool(processes_in(folder)) or any(it.exists() for it in (folder, *data))

    # The keeper looks each second, and gives the server time to end.
    wait_for(lambda: not is_left(), 60)
