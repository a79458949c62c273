"""Dagster's part of a home folder: its configuration, its instance and who may use it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from huleedu_dagster.domain.keys import sha256_hex
from huleedu_dagster.observability.logs import SHOWN
from huleedu_dagster.settings import Settings

if TYPE_CHECKING:
    from dagster import DagsterInstance

SERVER_CONFIG = "dagster.yaml"
IN_PROCESS_CONFIG = "dagster-in-process.yaml"
_LOCK = "in-use.lock"
_CONFIG_LOCK = "config.lock"
_LOCK_TRIES = 3
_LOCK_PAUSE = 0.1

_DATABASE_URL = "HULEEDU_DAGSTER_DATABASE_URL"
_SQLITE_STORAGE = ("huleedu_dagster.dagster_storage.sqlite", "PooledSqliteStorage")
_POSTGRES_STORAGE = ("huleedu_dagster.dagster_storage.postgres", "PooledPostgresStorage")
_STOCK_SQLITE_STORAGE = ("dagster._core.storage.sqlite_storage", "DagsterSqliteStorage")
_STOCK_POSTGRES_STORAGE = ("dagster_postgres.storage", "DagsterPostgresStorage")

_COMMON = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "run_retries": {"enabled": False},
    # Dagster would write its events to the standard error of a run, with the messages of errors.
    # Ours are written once, in our form, and those of this logger are on the page of the run, too.
    "python_logs": {"python_log_level": "CRITICAL", "managed_python_loggers": [SHOWN]},
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    },
    "retention": {
        "sensor": {"purge_after_days": {"skipped": 1, "success": 7, "failure": 30}},
        "schedule": {"purge_after_days": 30},
    },
}
_SERVER = {
    "run_monitoring": {
        "enabled": True,
        "poll_interval_seconds": 5,
        "start_timeout_seconds": 120,
        "max_runtime_seconds": 3600,
        "free_slots_after_run_end_seconds": 60,
    },
}
_IN_PROCESS = {
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
    "run_coordinator": {
        "module": "dagster._core.run_coordinator.sync_in_memory_run_coordinator",
        "class": "SyncInMemoryRunCoordinator",
    },
}


class HomeInUseError(Exception):
    """Another process works on this home folder.

    Attributes:
        role: What it is: `up`, `run`, …
        pid: Its process id.
    """

    def __init__(self, role: str, pid: int) -> None:
        super().__init__(f"`huleedu {role}` (process {pid}) works on this home folder")
        self.role = role
        self.pid = pid


class InstallationInUseError(HomeInUseError):
    """Somebody works on Dagster's database, with another home folder."""

    def __init__(self, who: str) -> None:
        Exception.__init__(self, f"{who} works on this installation")
        self.role = who
        self.pid = 0


@dataclass(frozen=True, slots=True)
class DagsterHome:
    """Dagster's files in a home folder."""

    settings: Settings

    @property
    def folder(self) -> Path:
        """Dagster's own home."""
        return self.settings.dagster_folder

    def prepare(self) -> None:
        """Write Dagster's configuration anew; a file that an operator changed is left alone.

        Raises:
            OSError: The folder cannot be written.
        """
        self.settings.make_home()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings.inbox_folder.mkdir(parents=True, exist_ok=True)
        storage = {"storage": {"custom": self._storage()}}
        # One at a time: a file and the mark of who wrote it belong together.
        with (self.folder / _CONFIG_LOCK).open("a") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            for name, own in ((SERVER_CONFIG, self._server()), (IN_PROCESS_CONFIG, _IN_PROCESS)):
                _write_own(self.folder / name, {**_COMMON, **storage, **own})

    def environment(self) -> dict[str, str]:
        """What the environment of every process on this home says, beside what it says already."""
        found = {
            "HULEEDU_HOME": str(self.settings.home),
            "DAGSTER_HOME": str(self.folder),
            # The messages of errors may quote texts and names; they are told by class and place
            # in the log, and Dagster's pages have the number under which they are there.
            "DAGSTER_REDACT_USER_CODE_ERRORS": "true",
        }
        if self.settings.dagster_database_url:
            found[_DATABASE_URL] = self.settings.dagster_database_url
        return found

    def _server(self) -> dict[str, Any]:
        # A queue, so that hundreds of batches at once are not hundreds of processes.
        queue = {
            "max_concurrent_runs": self.settings.max_runs,
            "dequeue_interval_seconds": 1,
        }
        coordinator = _class("dagster._core.run_coordinator", "QueuedRunCoordinator", queue)
        found = {**_SERVER, "run_coordinator": coordinator}
        if not self.settings.broker_url:
            return found
        from huleedu_dagster.orchestration.launching import launcher_config

        return _merged(found, launcher_config(self.settings))

    def _storage(self) -> dict[str, Any]:
        batched = self.settings.dagster_storage == "batched"
        url = self.settings.dagster_database_url
        if not url:
            module, name = _SQLITE_STORAGE if batched else _STOCK_SQLITE_STORAGE
            return _class(module, name, {"base_dir": str(self.folder / "storage")})
        module, name = _POSTGRES_STORAGE if batched else _STOCK_POSTGRES_STORAGE
        # A password stays where it is, if the processes that read this file are given it too.
        in_environment = os.environ.get(_DATABASE_URL) == url
        config: dict[str, Any] = {
            "postgres_url": {"env": _DATABASE_URL} if in_environment else url,
            # `make_tables` does, under a lock.
            "should_autocreate_tables": False,
        }
        if batched:
            config["connections"] = self.settings.dagster_connections
        return _class(module, name, config)

    def instance(self) -> "DagsterInstance":
        """Dagster's instance for runs inside this process; shares all data with the server's.

        Raises:
            OSError: The folder cannot be written.
            DatabaseError: Dagster's database cannot be used.
        """
        self.make_tables()
        return self._open()

    def make_tables(self) -> bool:
        """Make Dagster's tables on Postgres where they are missing; SQLite's make themselves.

        Returns:
            Whether some were missing.

        Raises:
            OSError: The folder cannot be written.
            DatabaseError: The database cannot be used, or is not Dagster's own.
        """
        self.prepare()
        if not self.settings.dagster_database_url:
            return False
        from huleedu_dagster.orchestration.databases import make_tables

        storage = {"storage": {"custom": self._storage()}}
        return make_tables(self.settings, lambda: self._open(storage))

    def _open(self, overrides: dict[str, Any] | None = None) -> "DagsterInstance":
        from dagster import DagsterInstance
        from dagster._core.instance.ref import InstanceRef

        reference = InstanceRef.from_dir(
            str(self.folder), config_filename=IN_PROCESS_CONFIG, overrides=overrides
        )
        return DagsterInstance.from_ref(reference)

    @contextmanager
    def exclusive(self, role: str, *, kept: bool = False) -> Iterator[None]:
        """Be the only process that runs sensors and jobs on this home and on its database.

        The locks are the kernel's and the database's: they end with the process, however that ends.

        Args:
            role: What this process is, told to others that want the same.
            kept: Whether a program that this process becomes in the block has the locks, too.

        Raises:
            HomeInUseError: Another process has it.
            DatabaseError: Dagster's database cannot be reached.
        """
        from huleedu_dagster.orchestration.alone import alone

        with self._locked(role) as stream, alone(self.settings, kept=kept) as other:
            if other:
                raise InstallationInUseError(other)
            os.set_inheritable(stream.fileno(), kept)
            yield

    def _locked(self, role: str) -> IO[str]:
        self.settings.make_home()
        self.folder.mkdir(parents=True, exist_ok=True)
        stream = (self.folder / _LOCK).open("a+")
        # More than once: `user` holds the lock for a moment.
        if not any(_try_lock(stream, fcntl.LOCK_EX) for _ in range(_LOCK_TRIES)):
            stream.close()
            raise self._in_use()
        stream.truncate(0)
        stream.write(json.dumps({"role": role, "pid": os.getpid()}))
        stream.flush()
        return stream

    def user(self) -> HomeInUseError | None:
        """Who works on this home, `None` if nobody does; changes nothing.

        Raises:
            OSError: The home cannot be read.
        """
        try:
            with (self.folder / _LOCK).open() as stream:
                return None if _try_lock(stream, fcntl.LOCK_SH) else self._in_use()
        except FileNotFoundError:
            return None

    def _in_use(self) -> HomeInUseError:
        try:
            holder = json.loads((self.folder / _LOCK).read_text())
            return HomeInUseError(str(holder["role"]), int(holder["pid"]))
        except (ValueError, KeyError):
            return HomeInUseError("?", 0)


def _try_lock(stream: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(stream, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_LOCK_PAUSE)
        return False
    return True


def _class(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class": name, "config": config}


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both, level by level, where `more` has the last word."""
    both = {
        name: _merged(base[name], value)
        for name, value in more.items()
        if isinstance(value, dict) and isinstance(base.get(name), dict)
    }
    return {**base, **more, **both}


def _write_own(path: Path, value: dict[str, Any]) -> None:
    """Write a file, unless somebody else changed it since it was written last."""
    import yaml

    mark = path.with_suffix(".sha256")
    text = yaml.safe_dump(value, sort_keys=True)
    found = path.read_bytes() if path.exists() else b""
    # Nobody's when empty: that is what a power cut may leave, and Dagster would take SQLite for it.
    theirs = found and not (mark.exists() and sha256_hex(found) in mark.read_text().split())
    if theirs or found == text.encode():
        return
    # Both: whoever is killed after the mark leaves the old file, and that is ours, too.
    marks = f"{sha256_hex(text.encode())} {sha256_hex(found)}"
    for target, content in ((mark, marks), (path, text)):
        temporary = target.with_suffix(target.suffix + ".new")
        # It may hold the password of a database.
        temporary.touch(mode=0o600)
        temporary.write_text(content)
        temporary.replace(target)
