"""What all tests share: no way out of this machine, and a world to act in."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.no_network import forbid_outbound
from tests.support.world import World

_SITE = Path(__file__).parent / "support" / "site"
_INDEXES = Path(__file__).parents[1] / ".test-cache" / "spelling"
_OF_PYTEST = "PYTEST_CURRENT_TEST"


def pytest_configure() -> None:
    """Refuse connections that leave this machine, here and in every Python process of a test."""
    forbid_outbound()
    # Ignored where a shell started this in its background; Dagster would ignore SIGTERM with it,
    # and so would every process of a test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Indexes are built once for a checkout, and not in the cache of whoever runs the tests.
    os.environ.setdefault("HULEEDU_SPELLING_CACHE", str(_INDEXES))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_SITE), before)))


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """Commands and benchmarks set variables for their process, which here is that of all tests."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys() - {_OF_PYTEST}:
        del os.environ[name]
    os.environ.update({it: value for it, value in before.items() if it != _OF_PYTEST})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An installation in a folder of its own, with the daemon's code in this process."""
    with World(tmp_path / "home", monkeypatch) as found:
        yield found
