"""A server that speaks a little S3 and is careless in ways that a real one is asked not to be."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TAKEN = b"<?xml version='1.0'?><Error><Code>PreconditionFailed</Code></Error>"


class CarelessS3(ThreadingHTTPServer):
    """Objects in memory; checks no signatures and tells no hashes.

    Attributes:
        objects: Content by path.
        heeds_conditions: Whether it refuses to replace an object if it is asked to.
        stores: Whether it stores what it says it has stored, and answers as a server of S3.
        refusals: Codes of refusals (status 400) that the next puts are met with, in turn.
        losses: How many of the next puts are done and not answered.
        puts: How many puts it was sent.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.heeds_conditions = True
        self.stores = True
        self.refusals: list[str] = []
        self.losses = 0
        self.puts = 0

    @contextmanager
    def running(self) -> Iterator[int]:
        """Serve until the block ends; gives the port."""
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self.server_address[1]
        finally:
            self.shutdown()
            thread.join()
            self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: CarelessS3

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        server.puts += 1
        if server.refusals:
            self._answer(400, f"<Error><Code>{server.refusals.pop(0)}</Code></Error>".encode())
        elif not server.stores:
            self._answer(200, b"<html>Welcome to this network</html>")
        elif server.heeds_conditions and self.path in server.objects:
            self._answer(412, _TAKEN)
        else:
            server.objects[self.path] = data
            if server.losses > 0:
                server.losses -= 1
                self.close_connection = True
                return
            self._answer(200, b"", etag=True)

    def do_HEAD(self) -> None:
        self._send()

    def do_GET(self) -> None:
        self._send()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def _send(self) -> None:
        found = self.server.objects.get(self.path)
        if found is None:
            missing = b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>"
            self._answer(404, missing)
        else:
            self._answer(200, found, etag=True)

    def _answer(self, status: int, body: bytes, *, etag: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        if etag:
            self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
