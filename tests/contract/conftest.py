"""A ledger for each test, in every kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from huleedu_dagster.ledger.ledger import Ledger
from tests.support.fakes import ManualClock
from tests.support.ledger import DATABASES, database


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of database."""
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """URL of a database that was never migrated."""
    with database(kind, tmp_path, migrated=False) as url:
        yield url


@pytest.fixture
def clock() -> ManualClock:
    """The ledger's clock."""
    return ManualClock()


@pytest.fixture
def ledger(kind: str, tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    """An empty ledger."""
    with database(kind, tmp_path) as url:
        found = Ledger(url, clock=clock)
        yield found
        found.close()
