"""What crosses the socket to a worker and back: plain values in frames that state their length."""

import json
import socket
import struct
import time

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction

READY = b"r"
"""The one byte a worker sends when its limits are in place."""

EXIT_OUT_OF_MEMORY = 71
EXIT_BROKEN_INSTALLATION = 72

_LENGTHS = struct.Struct("!II")
_NUMBER = struct.Struct("!q")
_MAX_SUFFIX_BYTES = 4_096
_MAX_HEAD_BYTES = 65_536
# NFC makes at most three code points of four bytes out of one character.
_MAX_BYTES_PER_CHAR = 12


class MalformedError(Exception):
    """The other side sent what it must not send."""


def receive(channel: socket.socket, size: int, deadline: float | None = None) -> bytes:
    """Read exactly `size` bytes.

    Args:
        channel: Where to read.
        size: How many bytes.
        deadline: When to give up, seconds of the monotonic clock; never when None.

    Raises:
        EOFError: The other side closed before all was there.
        TimeoutError: The deadline passed.
        OSError: The socket failed.
    """
    buffer = bytearray(size)
    view, have = memoryview(buffer), 0
    while have < size:
        channel.settimeout(seconds_left(deadline))
        got = channel.recv_into(view[have:])
        if not got:
            raise EOFError
        have += got
    return bytes(buffer)


def seconds_left(deadline: float | None) -> float | None:
    """Seconds until the deadline, as a socket wants them.

    Raises:
        TimeoutError: There are none.
    """
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def send_number(channel: socket.socket, number: int) -> None:
    """Send a process id, an exit code or a negated errno."""
    channel.sendall(_NUMBER.pack(number))


def receive_number(channel: socket.socket, deadline: float) -> int:
    """Read what `send_number` sent; raises as `receive` does."""
    (number,) = _NUMBER.unpack(receive(channel, _NUMBER.size, deadline))
    return int(number)


def request_frame(data: bytes, suffix: str) -> bytes:
    """A file as it is sent to a worker."""
    # No known suffix is longer, so what is cut off decides nothing.
    name = suffix.encode("utf-8", "surrogatepass")[:_MAX_SUFFIX_BYTES]
    return b"".join((_LENGTHS.pack(len(name), len(data)), name, data))


def receive_request(channel: socket.socket) -> tuple[bytes, str]:
    """Read a file and its suffix.

    Raises:
        EOFError: There are no more files.
    """
    name_size, data_size = _LENGTHS.unpack(receive(channel, _LENGTHS.size))
    name = receive(channel, name_size)
    return receive(channel, data_size), name.decode("utf-8", "replace")


def answer_frame(found: Extraction) -> bytes:
    """A result as it is sent back."""
    head = json.dumps(
        [found.code, found.message, list(found.warnings), found.transient, found.format]
    ).encode()
    text = b"" if found.text is None else found.text.encode()
    return b"".join((_LENGTHS.pack(len(head), len(text)), head, text))


def receive_answer(channel: socket.socket, limits: ExtractionLimits, deadline: float) -> Extraction:
    """Read a result; what is larger than any result can be is not read at all.

    Raises:
        MalformedError: It is no result.
        EOFError: The worker is gone.
        TimeoutError: The deadline passed.
        OSError: The socket failed.
    """
    head_size, text_size = _LENGTHS.unpack(receive(channel, _LENGTHS.size, deadline))
    most = limits.max_output_chars * _MAX_BYTES_PER_CHAR
    if head_size > _MAX_HEAD_BYTES or text_size > most:
        raise MalformedError("a larger answer than there can be")
    head = receive(channel, head_size, deadline)
    text = receive(channel, text_size, deadline)
    try:
        return _extraction(json.loads(head), text)
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedError("no answer in the expected form") from error


def _extraction(fields: object, text: bytes) -> Extraction:
    if not isinstance(fields, list):
        raise TypeError
    code, message, warnings, transient, kind = fields
    if not (isinstance(message, str) and isinstance(kind, str) and isinstance(transient, bool)):
        raise TypeError
    if code is not None and text:
        raise ValueError
    return Extraction(
        text=text.decode() if code is None else None,
        code=None if code is None else Code(code),
        message=message,
        warnings=tuple(Warn(it) for it in warnings),
        transient=transient,
        format=kind,
    )
