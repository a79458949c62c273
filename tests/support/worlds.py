"""Worlds whose Dagster is on one of the databases that it may be on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.postgres import postgres_database
from tests.support.world import World


@contextmanager
def world_on(kind: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An installation with Dagster's events on `sqlite` or `postgres`."""
    if kind == "sqlite":
        with World(home, monkeypatch) as found:
            yield found
        return
    with postgres_database(migrated=False) as url:
        # As every process of an installation is told, those of steps too.
        monkeypatch.setenv("HULEEDU_DAGSTER_DATABASE_URL", url)
        with World(home, monkeypatch) as found:
            yield found
