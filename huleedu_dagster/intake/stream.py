"""The route that tells about a batch as it changes, in server-sent events."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from huleedu_dagster.intake.authority import services_of
from huleedu_dagster.intake.batches import BatchId, Reader
from huleedu_dagster.intake.watching import Streams

router = APIRouter(prefix="/v1/batches", tags=["batches"])

_EXAMPLE = """retry: 2000

event: batch
data: {"batch_id":"class-9b","status":"processing","expected":2}
id: 5f0c3b1e8f1b4f63

: ping

event: settled
data: {"batch_id":"class-9b","status":"ready"}
id: 9c0e2f9b6f6f7f11-settled
"""
_EVENT = {
    "type": "object",
    "description": "Each event.",
    "required": ["event", "data", "id"],
    "properties": {
        "event": {"enum": ["batch", "settled"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
    },
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `batch` and at the end `settled`; a comment when it is quiet.",
        "content": {"text/event-stream": {"schema": _EVENT, "example": _EXAMPLE}},
    },
    204: {"description": "The client has had the event `settled`, and nothing changed since."},
}


class EventStream(Response):
    """An answer that goes on until its messages end or the client is gone.

    Args:
        messages: Begins the messages; closed in any case.
        send_seconds: How long a message may take to go out, seconds; then the client is given up.
    """

    media_type = "text/event-stream"

    def __init__(
        self, messages: Callable[[], AsyncGenerator[bytes]], *, send_seconds: float
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._messages = messages
        self._send_seconds = send_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._cancel_when_gone, receive, group.cancel_scope)
            await self._send_all(send)
            group.cancel_scope.cancel()

    async def _cancel_when_gone(self, receive: Receive, stream: anyio.CancelScope) -> None:
        # A client that never ends its request is refused; here the answer has begun already.
        with suppress(HTTPException):
            while (await receive())["type"] != "http.disconnect":
                pass
        stream.cancel()

    async def _send_all(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async with aclosing(self._messages()) as messages:
            async for it in messages:
                if not await self._passes(send, _body(it)):
                    return
        await self._passes(send, _body(b"", more=False))

    async def _passes(self, send: Send, message: Message) -> bool:
        with anyio.move_on_after(self._send_seconds) as sending:
            await send(message)
        return not sending.cancelled_caught


@router.get("/{batch_id}/stream", response_class=StreamingResponse, responses=_RESPONSES)
async def stream(
    request: Request,
    batch_id: BatchId,
    principal: Reader,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID",
            description="Id of the last event that was received; a browser sends it by itself.",
        ),
    ] = None,
) -> Response:
    """Watch a batch: its state now, and again with every change.

    The data of an event `batch` is what `GET /v1/batches/{batch_id}` answers. The event `settled`
    ends the stream: nothing changes any more unless somebody hands in, waives, reopens or asks
    for work again. A page closes its EventSource then; one that comes back all the same gets 204,
    which ends it too. A stream that ends without `settled` is to be opened again.
    """
    streams: Streams = request.app.state.streams
    first = await streams.look(principal, batch_id)
    if first.state is not None and first.state.settled_id == last_event_id and first.state.final:
        return Response(status_code=204)
    services = services_of(request)
    session = request.state.session

    def may_go_on() -> bool:
        # Its token is looked up by the poller.
        return session is None or services.sessions.find(request.headers) is not None

    return EventStream(
        lambda: streams.messages(principal, first, last_event_id, may_go_on),
        send_seconds=services.limits.idle_seconds,
    )


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}
