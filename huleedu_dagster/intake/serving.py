"""The server of the intake: asked to end, it ends the streams, which would go on for ever."""

import socket

import uvicorn

from huleedu_dagster.intake.watching import Streams


class IntakeServer(uvicorn.Server):
    """Serves the application.

    Args:
        config: What uvicorn does.
        streams: The streams of the application.
    """

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then whatever is still answered."""
        self._streams.end()
        await super().shutdown(sockets)
