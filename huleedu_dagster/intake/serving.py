"""The server of the intake: asked to end, it ends the streams, which would go on for ever."""

import logging
import socket

import uvicorn

from huleedu_dagster.intake.watching import Streams

_LOG = logging.getLogger(__name__)


class IntakeServer(uvicorn.Server):
    """Serves the application.

    Args:
        config: What uvicorn does.
        streams: The streams of the application.
    """

    def __init__(self, config: uvicorn.Config, streams: Streams) -> None:
        super().__init__(config)
        self._streams = streams

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say where."""
        await super().startup(sockets)
        listening = [it for server in self.servers for it in server.sockets] if self.started else []
        for found in listening:
            host, port = found.getsockname()[:2]
            place = f"[{host}]" if ":" in host else host
            _LOG.info("listening", extra={"phase": "start", "address": f"http://{place}:{port}"})

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then whatever is still answered."""
        self._streams.end()
        await super().shutdown(sockets)
