"""The inside of a worker: a process with little memory and time that reads files one by one."""

import ctypes
import os
import re
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from huleedu_dagster.domain.outcomes import Code
from huleedu_dagster.extraction.dispatch import extract_bytes
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction
from huleedu_dagster.extraction.sandbox_limits import SandboxLimits
from huleedu_dagster.extraction.sandbox_wire import (
    EXIT_BROKEN_INSTALLATION,
    EXIT_OUT_OF_MEMORY,
    Wire,
    answer_frame,
    ready_frame,
    suffix_of,
)

_PR_SET_PDEATHSIG = 1
_CHANNEL = 3
# Endless recursion in a C library must end alike everywhere, also where stacks have no limit.
_STACK_BYTES = 8 * 1024 * 1024


def work(channel: int, parent: int, limits: ExtractionLimits, sandbox: SandboxLimits) -> NoReturn:
    """Be a worker until the other side of the channel closes. Never returns and never raises.

    Args:
        channel: Descriptor of the socket that files come from and results go to.
        parent: Process id of the fork server.
        limits: Caps on one file.
        sandbox: Limits on this process.
    """
    code = 1
    try:
        _die_with(parent)
        # Never closed here: who reads the end of it has this process killed, and the exit code
        # would be lost.
        files = Wire(_only(channel))
        memory = _confine(sandbox)
        files.send(ready_frame())
        while True:
            # Processor time of the whole process, from now on; at its end the kernel kills.
            signal.setitimer(signal.ITIMER_PROF, sandbox.cpu_seconds)
            files.send(_answer(files, limits, memory))
    except (EOFError, ConnectionError):
        code = 0
    except MemoryError:
        code = EXIT_OUT_OF_MEMORY
    except OSError:
        code = EXIT_BROKEN_INSTALLATION
    finally:
        # Whatever the fork server would do on its way out is not for its copy to do.
        os._exit(code)


def _answer(files: Wire, limits: ExtractionLimits, memory: "_Memory") -> bytes:
    head, data = files.receive(limits.max_input_bytes)
    found = extract_bytes(data, suffix_of(head), limits)
    if found.code is Code.CORRUPTED_FILE and memory.was_short():
        # Where an allocation fails, libxml2 and others report a damaged file.
        found = Extraction(
            code=Code.TOO_LARGE, message="out of memory", transient=True, format=found.format
        )
    return answer_frame(found)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # It was gone before the request was made.
        os._exit(0)


def _only(channel: int) -> socket.socket:
    """Close every descriptor of the fork server but the channel."""
    if channel != _CHANNEL:
        os.dup2(channel, _CHANNEL)
    os.closerange(_CHANNEL + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    return socket.socket(fileno=_CHANNEL)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What address space there was before the first file, and what was added; both in bytes."""

    before: int
    allowed: int

    def was_short(self) -> bool:
        """Whether so much was in use at some time that an allocation may have failed.

        No reader asks for the other half at once. A file that is taken for an earlier one that
        used so much is tried again in a fresh worker, and has the right code then.
        """
        return _address_space("VmPeak") - self.before > self.allowed // 2


def _confine(sandbox: SandboxLimits) -> _Memory:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_STACK, _STACK_BYTES)
    _limit(resource.RLIMIT_NOFILE, sandbox.open_files)
    memory = _Memory(_address_space("VmSize"), sandbox.memory_bytes)
    if sys.platform == "linux":
        _limit(resource.RLIMIT_AS, memory.before + memory.allowed)
    return memory


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (bound, bound))


def _address_space(which: str) -> int:
    """`VmSize` or `VmPeak` of this process, bytes; 0 where the kernel does not tell."""
    status = Path("/proc/self/status")
    if sys.platform != "linux" or not status.exists():
        return 0
    found = re.search(rf"^{which}:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.M)
    return int(found[1]) * 1024 if found else 0
