"""A running intake for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.intake.served import Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """An intake on a real socket, its ledger and store in a folder of the test's own."""
    with serving(tmp_path) as found:
        yield found
