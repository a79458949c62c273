"""A ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from tests.support.fakes import ManualClock
from tests.support.ledger import new_ledger


@pytest.fixture
def clock() -> ManualClock:
    """The ledger's clock."""
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    """An empty ledger."""
    found = new_ledger(tmp_path / "ledger.db", clock=clock)
    yield found
    found.close()
