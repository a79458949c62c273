"""What crosses the sockets to the workers and back: plain values in frames that state their length.

A frame is two lengths, a head and a body: the suffix and the bytes of a file on the way to a
worker, a JSON list and the text on the way back.
"""

import json
import select
import socket
import struct
import time

from huleedu_dagster.domain.outcomes import Code, Warn
from huleedu_dagster.extraction.limits import ExtractionLimits
from huleedu_dagster.extraction.port import Extraction

EXIT_OUT_OF_MEMORY = 71
EXIT_BROKEN_INSTALLATION = 72

_LENGTHS = struct.Struct("!II")
_NUMBER = struct.Struct("!q")
_MAX_SUFFIX_BYTES = 4_096
_MAX_HEAD_BYTES = 65_536
# An essay and its text come in one piece.
_FIRST_READ_BYTES = 65_536
# NFC makes at most three code points of four bytes out of one character.
_MAX_BYTES_PER_CHAR = 12


class MalformedError(Exception):
    """The other side sent what it must not send."""


class Wire:
    """One end of the socket between a pool and a worker. For one thread at a time.

    The socket never blocks and every wait is a `poll` of its own: a file costs one call to wait
    and one to send or receive, whatever its deadline is.
    """

    def __init__(self, channel: socket.socket) -> None:
        """Take over a connected stream socket."""
        channel.setblocking(False)
        self._channel = channel
        self._input = _poll(channel, select.POLLIN)
        self._room = _poll(channel, select.POLLOUT)

    @property
    def is_quiet(self) -> bool:
        """Whether the other side is there and has sent nothing that was not received."""
        return not self._input.poll(0)

    def send(self, frame: bytes, deadline: float | None = None) -> None:
        """Send a frame.

        Args:
            frame: What one of the functions below made.
            deadline: When to give up, seconds of the monotonic clock; never when None.

        Raises:
            TimeoutError: The deadline passed.
            OSError: The socket failed.
        """
        rest = memoryview(frame)
        while rest:
            _wait(self._room, deadline)
            rest = rest[self._channel.send(rest) :]

    def receive(self, most: int, deadline: float | None = None) -> tuple[bytes, bytes]:
        """Receive the head and the body of the only frame under way.

        Args:
            most: Size of the body, at most, bytes; a larger one is not read.
            deadline: When to give up, seconds of the monotonic clock; never when None.

        Raises:
            MalformedError: It is no frame, it is too large, or there is more than one.
            EOFError: The other side closed before all was there.
            TimeoutError: The deadline passed.
            OSError: The socket failed.
        """
        frame = self._some(_FIRST_READ_BYTES, deadline)
        while len(frame) < _LENGTHS.size:
            frame += self._some(_LENGTHS.size - len(frame), deadline)
        head_size, body_size = _LENGTHS.unpack_from(frame)
        body_at = _LENGTHS.size + head_size
        end = body_at + body_size
        if head_size > _MAX_HEAD_BYTES or body_size > most or len(frame) > end:
            raise MalformedError("more than there can be")
        whole = memoryview(frame if len(frame) == end else self._rest(frame, end, deadline))
        return bytes(whole[_LENGTHS.size : body_at]), bytes(whole[body_at:])

    def close(self) -> None:
        """Close the socket."""
        self._channel.close()

    def _rest(self, frame: bytes, size: int, deadline: float | None) -> bytearray:
        whole = bytearray(size)
        have = len(frame)
        whole[:have] = frame
        view = memoryview(whole)
        while have < size:
            _wait(self._input, deadline)
            have += _not_closed(self._channel.recv_into(view[have:]))
        return whole

    def _some(self, most: int, deadline: float | None) -> bytes:
        _wait(self._input, deadline)
        found = self._channel.recv(most)
        _not_closed(len(found))
        return found


def _poll(channel: socket.socket, event: int) -> select.poll:
    found = select.poll()
    found.register(channel, event)
    return found


def _wait(poll: select.poll, deadline: float | None) -> None:
    left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1_000
    if not poll.poll(left):
        raise TimeoutError


def _not_closed(received: int) -> int:
    if not received:
        raise EOFError
    return received


def send_number(line: socket.socket, number: int) -> None:
    """Send a process id, an exit code or a negated errno."""
    line.sendall(_NUMBER.pack(number))


def receive_number(line: socket.socket, deadline: float) -> int:
    """Receive what `send_number` sent; raises as `Wire.receive` does."""
    received = b""
    while len(received) < _NUMBER.size:
        line.settimeout(max(0.001, deadline - time.monotonic()))
        some = line.recv(_NUMBER.size - len(received))
        _not_closed(len(some))
        received += some
    (number,) = _NUMBER.unpack(received)
    return int(number)


def ready_frame() -> bytes:
    """What a worker sends when its limits are in place."""
    return _frame(b"ready", b"")


def request_frame(data: bytes, suffix: str) -> bytes:
    """A file as it is sent to a worker."""
    # No known suffix is longer, so what is cut off decides nothing.
    return _frame(suffix.encode("utf-8", "surrogatepass")[:_MAX_SUFFIX_BYTES], data)


def suffix_of(head: bytes) -> str:
    """The suffix in the head of a request."""
    return head.decode("utf-8", "replace")


def answer_frame(found: Extraction) -> bytes:
    """A result as it is sent back."""
    fields = [found.code, found.message, list(found.warnings), found.transient, found.format]
    return _frame(json.dumps(fields).encode(), (found.text or "").encode())


def most_answer_bytes(limits: ExtractionLimits) -> int:
    """Size of the body of an answer, at most, bytes."""
    return limits.max_output_chars * _MAX_BYTES_PER_CHAR


def answer_of(head: bytes, body: bytes) -> Extraction:
    """The result in an answer.

    Raises:
        MalformedError: It is none.
    """
    try:
        return _extraction(json.loads(head), body)
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


def _frame(head: bytes, body: bytes) -> bytes:
    return b"".join((_LENGTHS.pack(len(head), len(body)), head, body))
