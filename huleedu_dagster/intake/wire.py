"""HTTP/1.1 of the intake: heads of requests are small and come soon, and answers are read.

uvicorn limits none of this: who sends headers for ever fills the memory, and who says nothing, or
does not read, keeps a file descriptor, all without a token. Bodies are limited at the door.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200
MAX_CONNECTIONS = 1_000

_LOOKS = 3
_MAX_PIPELINED = 16
"""Requests behind the one that is answered; what one read brings may be thousands."""


class RefusedHeadError(Exception):
    """A head has too many headers, or requests come while their answers are not read."""


class IntakeProtocol(HttpToolsProtocol):
    """Ends connections that take more than they may, or make nothing of what they take.

    Attributes:
        HEAD_SECONDS: How long a whole head may take to come, seconds. A connection is looked at
            three times in that time, so its end may come a third later.
        SEND_SECONDS: How long the other end may take nothing of what waits for it, seconds.
    """

    HEAD_SECONDS = 15.0
    SEND_SECONDS = 60.0

    _progress = False
    _unfinished = 0
    _looking: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    _idle_looks = 0
    _unsent: int | None = None
    _stuck_looks = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
            return
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._progress = False
        super().data_received(data)
        # Heads, and what stands between and behind the pieces of a chunked body.
        self._unfinished = 0 if self._progress else self._unfinished + len(data)
        if self._unfinished > MAX_HEAD_BYTES:
            self.transport.abort()

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._unsent = None
        super().resume_writing()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise RefusedHeadError

    def on_headers_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._progress = True
        if len(self.pipeline) >= _MAX_PIPELINED or self.flow.write_paused:
            raise RefusedHeadError
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._progress = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        if self.pipeline and self.flow.write_paused:
            # The next answer would hold a place while it waits for somebody who reads none.
            self.transport.close()
        super().on_response_complete()

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(self.HEAD_SECONDS / _LOOKS, self._look)

    def _look(self) -> None:
        self._look_later()
        if self._is_stuck():
            self.transport.abort()
        elif self._is_idle() and not self.transport.is_closing():
            # What is sent already still reaches who reads it.
            self.transport.close()

    def _is_idle(self) -> bool:
        """Whether no request has begun for too long, whatever bytes came."""
        cycle = self.cycle
        is_waiting = cycle is None or cycle.response_complete
        self._idle_looks = self._idle_looks + 1 if is_waiting and cycle is self._answered else 0
        self._answered = cycle if is_waiting else None
        return self._idle_looks >= _LOOKS

    def _is_stuck(self) -> bool:
        """Whether the other end has taken nothing for too long while something waits for it."""
        left = self.transport.get_write_buffer_size()
        # Else the application may have written more since the last look.
        only_shrinks = left > 0 and (self.flow.write_paused or self.transport.is_closing())
        is_stuck = only_shrinks and self._unsent is not None and left >= self._unsent
        self._unsent = left if only_shrinks else None
        self._stuck_looks = self._stuck_looks + 1 if is_stuck else 0
        return self._stuck_looks * self.HEAD_SECONDS / _LOOKS >= self.SEND_SECONDS
