"""Child processes of the server, each the leader of its own group: started, watched, ended."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from huleedu_dagster.orchestration.child import command

MAX_LOG_BYTES = 20_000_000
_POLL_SECONDS = 0.1
_ZOMBIE = "Z"
_RUN_WORKER = b"multiprocessing.spawn"
"""In the command line of what Dagster's code server starts for a run."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running child.

    Attributes:
        name: What it is, for people.
        process: The process; its id is also the id of its group.
        log: File with what it writes.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(
        cls, name: str, program: Sequence[str], *, environment: Mapping[str, str], logs: Path
    ) -> "Child":
        """Start a program in its own session, so that Ctrl-C reaches the supervisor only.

        Args:
            name: What it is, for people; its log is named after it.
            program: The program with its arguments.
            environment: Its environment.
            logs: Folder of the logs; what was written before the log is kept as `….1`.

        Raises:
            OSError: The log cannot be written or the program not started.
        """
        log = logs / f"{name.replace(' ', '-')}.log"
        if log.exists():
            log.replace(_before(log))
        # Appending, so that what is written after `limit_log` does not leave a hole before it.
        with open(log, "ab", opener=_for_nobody_else) as stream:
            process = subprocess.Popen(
                command(program),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(name, process, log)

    def limit_log(self, max_bytes: int = MAX_LOG_BYTES) -> None:
        """Begin the log anew when it is larger than `max_bytes`; what it held is kept as `….1`."""
        # An operator may have removed it.
        with suppress(FileNotFoundError):
            if self.log.stat().st_size <= max_bytes:
                return
            # Copied, since the child goes on writing to this very file. A disk that has no room
            # for it gets room.
            with suppress(OSError):
                shutil.copy(self.log, _before(self.log))
            os.truncate(self.log, 0)


def _before(log: Path) -> Path:
    return log.with_suffix(".log.1")


def _for_nobody_else(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def end_groups(
    groups: Iterable[int], *, patience: float, hurry: Callable[[], bool] = lambda: False
) -> None:
    """End process groups: SIGTERM, and SIGKILL for what is left.

    Args:
        groups: Ids of the groups; those that are gone are left out.
        patience: Seconds between the two.
        hurry: Asked meanwhile whether to wait no longer.
    """
    remaining = {group for group in groups if _signal(group, signal.SIGTERM)}
    for group in remaining:
        # A stopped process acts on nothing else until it continues.
        _signal(group, signal.SIGCONT)
    until = time.monotonic() + patience
    while remaining and time.monotonic() < until and not hurry():
        time.sleep(_POLL_SECONDS)
        remaining = _alive(remaining)
    for group in remaining:
        _signal(group, signal.SIGKILL)
    until = time.monotonic() + patience
    while remaining and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
        remaining = _alive(remaining)


def end_children(
    children: Sequence[Child], *, patience: float, hurry: Callable[[], bool] = lambda: False
) -> None:
    """End children with all that they started; see `end_groups`."""
    end_groups([it.process.pid for it in children], patience=patience, hurry=hurry)
    for child in children:
        child.process.wait()


def members(group: int) -> list[int]:
    """Processes of a group that have not ended; empty where there is no `/proc`."""
    return [pid for pid, (state, found) in _processes() if found == group and state != _ZOMBIE]


def run_workers(group: int) -> list[int]:
    """Processes of a code server's group that execute runs; empty where there is no `/proc`."""
    found = []
    for pid in members(group):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if _RUN_WORKER in line:
            found.append(pid)
    return found


def environment_of(pid: int) -> dict[str, str]:
    """The environment a process was started with; empty when it cannot be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (it.partition(b"=") for it in raw.split(b"\0") if b"=" in it)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _alive(groups: set[int]) -> set[int]:
    if not Path("/proc/self/stat").exists():
        return {group for group in groups if _signal(group, 0)}
    # Not by signal 0: a group of zombies that nobody waits for takes signals too.
    running = {found for _, (state, found) in _processes() if state != _ZOMBIE}
    return groups & running


def _processes() -> Iterable[tuple[int, tuple[str, int]]]:
    """Process id, state and group of every process."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name before the last parenthesis may hold anything.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        yield int(entry.parent.name), (fields[0], int(fields[2]))


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
