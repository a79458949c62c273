"""The intake on a real socket of this machine, with tokens to ask it things."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.intake.app import build_app
from huleedu_dagster.intake.limits import IntakeLimits
from huleedu_dagster.intake.local_sign_in import LocalSignIn
from huleedu_dagster.intake.services import Services
from huleedu_dagster.intake.sessions import Sessions
from huleedu_dagster.intake.wire import IntakeProtocol
from huleedu_dagster.ledger.ledger import Ledger
from huleedu_dagster.settings import Settings
from tests.support.workshop import Workshop

EVERY_SCOPE = tuple(Scope)
LIMITS = IntakeLimits(
    hosts=frozenset({"intake.school.example"}),
    max_json_bytes=20_000,
    max_request_bytes=400_000,
    max_file_bytes=100_000,
    max_files=12,
    max_pending=20,
    requests_per_minute=100_000,
    failures_per_minute=100_000,
)


class Counted:
    """An application that knows how many requests it works on, also those whose client is gone.

    Attributes:
        begun: How many it ever worked on.
        under_way: How many it works on.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.begun = 0
        self.under_way = 0
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        counts = scope["type"] == "http"
        self.under_way += counts
        self.begun += counts
        try:
            await self._app(scope, receive, send)
        finally:
            self.under_way -= counts


@dataclass
class Served:
    """A running intake.

    Attributes:
        shop: Its ledger, store and pipeline.
        url: Its address.
        counted: Counts the requests that are worked on.
    """

    shop: Workshop
    app: FastAPI
    url: str
    counted: Counted
    _clients: list[httpx.Client] = field(default_factory=list)

    def token(self, name: str, *scopes: Scope) -> str:
        """A token with these scopes, or with all but `operate`."""
        token = new_token()
        chosen = scopes or (Scope.REGISTER, Scope.UPLOAD, Scope.READ)
        with self.shop.ledger.write() as tx:
            tx.tokens.create(name, chosen, hash_token(token))
        return token

    def client(self, token: str | None = None) -> httpx.Client:
        """A client that sends this token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)
        self._clients.append(client)
        return client

    def teacher(self, name: str = "teacher") -> httpx.Client:
        """A client that may register, upload and read."""
        return self.client(self.token(name))

    def operator(self) -> httpx.Client:
        """A client that may do everything."""
        return self.client(self.token("operator", *EVERY_SCOPE))

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients:
            client.close()


@contextmanager
def serving(
    folder: Path,
    limits: IntakeLimits = LIMITS,
    *,
    embedded: bool = False,
    ledger: Ledger | None = None,
) -> Iterator[Served]:
    """Serve an installation in a folder, or on another ledger, until the block ends."""
    shop = Workshop(folder, ledger=ledger)
    settings = Settings(home=folder)
    languages = frozenset({"en", "sv"})
    services = Services(
        settings,
        shop.ledger,
        shop.blobs,
        shop.intake,
        languages,
        limits,
        sessions=Sessions.of(settings),
        local=LocalSignIn.of(shop.ledger, settings.token_file) if embedded else None,
    )
    app = build_app(services)
    counted = Counted(app)
    with socket.socket() as listener, running(counted, listener) as url:
        served = Served(shop, app, url, counted)
        try:
            yield served
        finally:
            served.close()
    shop.ledger.close()


@contextmanager
def running(
    app: ASGIApp, listener: socket.socket, protocol: type[IntakeProtocol] = IntakeProtocol
) -> Iterator[str]:
    """Run an application in a thread; gives its address."""
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        http=protocol,
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # The clients are gone; waiting for their connections would only take time.
        server.should_exit = server.force_exit = True
        thread.join(60)
