"""A receiver of webhooks on this machine that answers as told."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        drip: Seconds between the lines of an answer without end; no such answer when 0.
        silent: Whether nothing is answered until the receiver ends.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0
    silent: bool = False


@dataclass(frozen=True)
class Request:
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """What came, in order; answers are given in turn, then 200."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[Request] = []
        self.over = threading.Event()
        self.url = ""
        self._answers = list(answers)

    def next_answer(self, request: Request) -> Answer:
        """Note a request and tell the answer."""
        self.requests.append(request)
        return self._answers.pop(0) if self._answers else Answer()


@contextmanager
def receiver(*answers: Answer) -> Iterator[Receiver]:
    """A receiver that listens on loopback while the block lasts."""
    found = Receiver(*answers)

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            answer = found.next_answer(request)
            if answer.silent:
                found.over.wait(60)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.drip:
                self.flush_headers()
                while not found.over.wait(answer.drip):
                    self.wfile.write(b"X-Drip: drop\r\n")
                return
            self.end_headers()

        do_POST = _answer  # noqa: N815
        do_GET = _answer  # noqa: N815

        def log_message(self, *_what: object) -> None:
            """Say nothing on standard error."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A client that went away is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}/hook?token=t"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
