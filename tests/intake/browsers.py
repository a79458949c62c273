"""Browsers that are signed in, as far as the server sees them."""

import httpx
from starlette.datastructures import Headers

from huleedu_dagster.intake.sessions import COOKIE, Session
from tests.intake.served import Served

HTML = {"Accept": "text/html,application/xhtml+xml"}


def sign_in(client: httpx.Client, token: str, page: str = "/") -> httpx.Response:
    """Send the form of the sign-in page."""
    return client.post("/sign-in", data={"token": token, "next": page}, headers=HTML)


def browser(served: Served, token: str | None = None) -> httpx.Client:
    """A client that is signed in, by default with all a teacher may do."""
    client = served.client()
    answer = sign_in(client, token or served.token(f"teacher {len(client.cookies)}"))
    assert answer.status_code == 303, answer.text
    return client


def session_of(served: Served, client: httpx.Client) -> Session:
    """The session of a browser."""
    headers = Headers({"Cookie": f"{COOKIE}={client.cookies[COOKIE]}"})
    found: Session | None = served.app.state.services.sessions.find(headers)
    assert found is not None
    return found


def secret_of(served: Served, client: httpx.Client) -> dict[str, str]:
    """The header that scripts of a page send."""
    return {"X-CSRF-Token": session_of(served, client).csrf_token}
