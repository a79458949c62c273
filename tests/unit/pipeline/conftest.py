"""A fresh installation for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.workshop import Workshop
from tests.unit.pipeline.posting import Post


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    """A ledger, a store and a pipeline in an empty folder."""
    found = Workshop(tmp_path)
    yield found
    found.ledger.close()


@pytest.fixture
def post(shop: Workshop) -> Post:
    """An inbox folder."""
    return Post(shop)
