"""Ctrl-C while runs are executed here: an event, and everything as it was afterwards."""

import signal
import subprocess
import sys

from huleedu_dagster.cli.interrupts import stop_asked

_PROGRAM = """
import os, signal
from huleedu_dagster.cli.interrupts import stop_asked
with stop_asked() as asked:
    assert not asked.is_set()
    os.kill(os.getpid(), signal.SIGINT)
    assert asked.wait(5)
"""


def test_ctrl_c_sets_the_event_and_raises_nothing() -> None:
    # In a process of its own: in this one, threads of other tests could take the signal.
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "finishing the run under way" in done.stderr


def test_the_end_of_the_block_is_no_ctrl_c_and_restores_the_signal() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set())
    for _ in range(50):
        with stop_asked() as asked:
            pass
        assert not asked.is_set()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, set()) == before
    assert signal.SIGINT not in signal.sigpending()
