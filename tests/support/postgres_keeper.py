"""Keeps a Postgres server of one test session and ends it with the session, however that ends.

Run as `python -I -S postgres_keeper.py PACKAGE [NAME=VALUE …]`, a program of its own: a session
that is killed runs no clean-up, but its end of this program's standard input closes. Prints the
folder of the server's socket when it answers. It uses the standard library alone, so that it starts
at once.

The server writes nothing to the disk for sure (`fsync=off`): it is for tests of logic. With other
settings it is for benchmarks, and keeps its data on the disk.
"""

import contextlib
import ctypes
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
# A new database is several hundred files: five times as quick in memory.
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 512 * 1024 * 1024
_START_SECONDS = 60
_STOP_SECONDS = 20
_USER = "nobody"
_RELEASE = "pginstall18"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_size": "64MB",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "32MB",
    # Not UTC, so that a moment that loses its zone is noticed.
    "timezone": "America/New_York",
    # Only the socket.
    "listen_addresses": "",
}


def main(package: Path, settings: Mapping[str, str]) -> None:
    """Keep a server until the session ends."""
    # What ends this program in an ordered way ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    parent = os.getppid()
    # The path of a socket has little room, and another user has to reach it.
    shared = all(path.stat().st_mode & 0o1 for path in _with_parents(tempfile.gettempdir()))
    temporary = Path(tempfile.gettempdir() if shared else "/tmp")
    with (
        _folder(temporary) as folder,
        _folder(_MEMORY if not settings and _is_roomy(_MEMORY) else temporary) as data,
        _server(folder, data, package, {**_SETTINGS, **settings}),
    ):
        print(folder, flush=True)
        while os.getppid() == parent:
            if select.select([sys.stdin], [], [], 1)[0]:
                return


@contextlib.contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="huleedu-pg-", dir=parent))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_parents(path: str) -> list[Path]:
    real = Path(path).resolve()
    return [real, *real.parents]


def _is_roomy(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free > _ROOM_BYTES


@contextlib.contextmanager
def _server(folder: Path, data: Path, package: Path, options: Mapping[str, str]) -> Iterator[None]:
    data.chmod(0o700)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        # Postgres refuses to run as root, and another user may not reach the environment.
        package = _copy(package, folder / "copy")
        shutil.chown(data, _USER)
        shutil.chown(folder, _USER)
        found = pwd.getpwnam(_USER)
        user = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    programs = package / _RELEASE / "bin"
    how = ("--auth=trust", "--no-sync", "--encoding=UTF8", "--username=postgres")
    collation = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    _run([programs / "initdb", *how, *collation, "-D", data], cwd=folder, **user)
    settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", folder, *settings],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            preexec_fn=_end_with_the_parent,
            **user,
        )
    try:
        _wait(server, data, folder / "log")
        yield
    finally:
        # At once: nobody will need what it holds.
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _copy(package: Path, target: Path) -> Path:
    """The programs with their libraries, which they look for beside their package."""
    copied = target / package.name
    shutil.copytree(package / _RELEASE, copied / _RELEASE, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    return copied


def _run(command: Sequence[str | Path], **options: Any) -> None:
    ended = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)


def _end_with_the_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait(server: subprocess.Popen[bytes], data: Path, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    status = data / "postmaster.pid"
    while not (status.exists() and status.read_text().rstrip().endswith("ready")):
        if server.poll() is not None or time.monotonic() > until:
            sys.exit(log.read_text(errors="replace"))
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), dict(it.split("=", 1) for it in sys.argv[2:]))
