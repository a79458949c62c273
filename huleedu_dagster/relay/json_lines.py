"""A relay to a file with one event on each line, as `huleedu events` prints them."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from huleedu_dagster.domain.keys import canonical_json, sha256_hex
from huleedu_dagster.relay.port import DeliveryError, Envelope

_CHUNK = 64 * 1024
_BATCH = 500


class JsonLinesRelay:
    """Appends events to a file: whole lines, on the disk before the delivery counts.

    The file is opened for each delivery, so it may be moved away at any time and a new one is
    begun. Half a line that a crash left at the end is cut first; its event comes again.

    Args:
        path: The file; made, readable by its owner alone, when it is not there.
    """

    batch_size = _BATCH

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def name(self) -> str:
        """See `Relay.name`: the file's name and a hash of its path."""
        return f"file:{self.path.name[:60]}:{sha256_hex(os.fsencode(self.path))[:12]}"

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """See `Relay.deliver`.

        Raises:
            DeliveryError: The file cannot be written. Always retryable: no event is at fault.
        """
        lines = "".join(f"{canonical_json(it)}\n" for it in envelopes).encode()
        try:
            with self._opened() as file:
                _append(file, lines)
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise DeliveryError(f"the file cannot be written: {name}", retryable=True) from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, locked, with a whole last line."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(file).st_size == 0:
                _sync_folder(self.path.parent)
            cut_torn_line(file)
            yield file
        finally:
            os.close(file)


def cut_torn_line(file: int) -> int:
    """Cut what follows the last line end of an open file.

    Args:
        file: Descriptor of a regular file, open for reading and writing.

    Returns:
        Bytes that were cut; 0 when the last line was whole.

    Raises:
        OSError: The file cannot be read or cut.
    """
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - _CHUNK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
        os.fsync(file)
    return size - end


def _append(file: int, lines: bytes) -> None:
    before = os.fstat(file).st_size
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        # What fitted on a full disk would come twice; if this fails too, it does.
        os.ftruncate(file, before)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
