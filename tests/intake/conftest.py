"""A running intake for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.intake.served import Served, serving

NOON = 1_800_000_000.5
"""When the `clock` begins; limits count by the minute, which begins half a second before."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which only a test changes."""
    shown = [NOON]
    monkeypatch.setattr("time.time", lambda: shown[0])
    return shown


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An intake on a real socket, its ledger and store in a folder of the test's own."""
    with serving(tmp_path) as found:
        yield found
