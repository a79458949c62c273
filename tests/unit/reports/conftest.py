"""A fresh installation for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workshop import Workshop


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """A ledger, a store and a pipeline in an empty folder."""
    found = Workshop(tmp_path)
    yield found
    found.ledger.close()
