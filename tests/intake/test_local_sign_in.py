"""Embedded mode: the pages open signed in for the user of this computer, and for nobody else."""

import os
import re
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.datastructures import Headers

from huleedu_dagster.domain.access import Scope, hash_token, is_token
from huleedu_dagster.intake.local_sign_in import TOKEN_NAME, first_token, peer_user
from huleedu_dagster.intake.services import Services
from huleedu_dagster.intake.sessions import COOKIE
from huleedu_dagster.settings import Settings
from tests.intake.browsers import HTML, secret_of, session_of
from tests.intake.served import Served, serving
from tests.intake.test_door import problem
from tests.support.ledger import new_ledger

NOBODY = 65_534
# Port 8000 and its visitors, as /proc/net/tcp and tcp6 have them on a little-endian machine.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1
   1: 0100007F:C001 0100007F:1F40 01 00000000:00000000 00:00000000 00000000  1001        0 12 1
   2: 0100007F:1F40 0100007F:C001 01 00000000:00000000 00:00000000 00000000  1000        0 13 1
   3: 0100007F:C002 0100007F:1F40 04 00000000:00000000 00:00000000 00000000     0        0 0 1
   4: 0100007F:C003 0100007F:1F41 01 00000000:00000000 00:00000000 00000000  1000        0 14 1
   5: 0100007F:C004 0100007F:1F40 01 00000000:00000000 00:00000000 00000000     0        0 0 1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:C005 0000000000000000FFFF00000100007F:1F40 01 00000000:00000000 00:00000000 00000000  1002        0 15 1
   1: 00000000000000000000000001000000:C006 00000000000000000000000001000000:1F40 01 00000000:00000000 00:00000000 00000000  1003        0 16 1
"""  # noqa: E501


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Served]:
    """An intake in embedded mode."""
    with serving(tmp_path, embedded=True) as found:
        yield found


def signed_in(answer: httpx.Response) -> bool:
    """Whether an answer begins a session."""
    return f"{COOKIE}=" in answer.headers.get("set-cookie", "")


def sent_to_sign_in(answer: httpx.Response) -> bool:
    """Whether an answer asks for a token."""
    return answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")


def test_pages_that_are_opened_at_once_share_their_session(embedded: Served) -> None:
    one, two, three = embedded.client(), embedded.client(), embedded.client()
    for client in (one, two):
        assert signed_in(client.get("/", headers=HTML))
    assert session_of(embedded, one) == session_of(embedded, two)
    form = {"csrf_token": session_of(embedded, one).csrf_token}
    assert two.post("/sign-out", data=form, headers=HTML).status_code == 303
    assert signed_in(three.get("/", headers=HTML))
    assert session_of(embedded, three).csrf_token != form["csrf_token"]


def test_a_page_opens_signed_in_and_the_session_does_what_the_first_token_may(
    embedded: Served,
) -> None:
    client = embedded.client()
    opened = client.get("/nothing", headers=HTML)
    assert opened.status_code == 404
    assert signed_in(opened)
    session = session_of(embedded, client)
    made = client.post("/v1/batches/register", json={}, headers=secret_of(embedded, client))
    assert made.status_code == 201
    assert client.get("/v1/dead-letters").status_code == 200
    again = client.get("/nothing", headers=HTML)
    assert not signed_in(again)
    assert session_of(embedded, client) == session


def test_only_pages_open_signed_in(embedded: Served) -> None:
    client = embedded.client()
    problem(client.get("/v1/batches", headers=HTML), 401, "NOT_AUTHENTICATED")
    problem(client.get("/"), 401, "NOT_AUTHENTICATED")
    assert client.post("/", headers=HTML).status_code == 401
    wrong = client.get("/", headers={**HTML, "Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
    for path in ("/sign-in", "/static/site.css", "/healthz"):
        assert not signed_in(client.get(path, headers=HTML))


@pytest.mark.parametrize(
    "header",
    [
        {"Forwarded": "for=192.0.2.1"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"X-Forwarded-Host": "localhost"},
        {"X-Forwarded-Proto": "https"},
        {"X-Real-IP": "192.0.2.1"},
        {"Via": "1.1 proxy"},
        {"Host": "intake.school.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_what_comes_through_a_proxy_or_from_another_site_is_asked_for_a_token(
    embedded: Served, header: dict[str, str]
) -> None:
    answer = embedded.client().get("/", headers={**HTML, **header})
    assert sent_to_sign_in(answer)
    assert not signed_in(answer)


def test_a_session_of_this_computer_is_worth_nothing_through_a_proxy(embedded: Served) -> None:
    client = embedded.client()
    client.get("/nothing", headers=HTML)
    assert client.get("/v1/batches").status_code == 200
    forwarded = client.get("/v1/batches", headers={"X-Forwarded-For": "192.0.2.1"})
    problem(forwarded, 401, "NOT_AUTHENTICATED")


def test_elsewhere_than_in_embedded_mode_nobody_is_signed_in(
    served: Served, tmp_path: Path
) -> None:
    answer = served.client().get("/", headers=HTML)
    assert sent_to_sign_in(answer)
    assert not signed_in(answer)
    assert not (tmp_path / "intake-token").exists()
    local = served.app.state.services.sessions.begin_local("any")
    cookie = served.app.state.services.sessions.cookie(local, secure=False).partition(";")[0]
    problem(
        served.client().get("/v1/batches", headers={"Cookie": cookie}), 401, "NOT_AUTHENTICATED"
    )


def test_a_process_of_another_user_is_asked_for_a_token(embedded: Served) -> None:
    url = urlsplit(embedded.url)
    client = embedded.client()
    client.get("/nothing", headers=HTML)
    cookie = f"{COOKIE}={client.cookies[COOKIE]}"
    # Without the right to act as another user, the test can only do as itself.
    user, place = (NOBODY, "/sign-in") if os.geteuid() == 0 else (os.geteuid(), "")
    for path, headers in (("/", ""), ("/", f"Cookie: {cookie}\\r\\n")):
        script = (
            f"exec 3<>/dev/tcp/{url.hostname}/{url.port}; "
            f"printf 'GET {path} HTTP/1.1\\r\\nHost: localhost\\r\\nAccept: text/html\\r\\n"
            f"{headers}Connection: close\\r\\n\\r\\n' >&3; cat <&3"
        )
        done = subprocess.run(
            ["bash", "-c", script], user=user, cwd="/", capture_output=True, timeout=60, check=True
        )
        head = done.stdout.decode().partition("\r\n\r\n")[0].lower()
        assert head.startswith("http/1.1 ")
        assert (f"location: {place}?" in head) == bool(place)
        assert ("set-cookie" in head) == (not place and not headers)


def test_the_kernel_tells_whose_a_connection_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        own = listener.getsockname()
        with socket.create_connection(own) as client:
            accepted, peer = listener.accept()
            with accepted:
                tables = [Path(f"/proc/self/net/{it}").read_text() for it in ("tcp", "tcp6")]
                assert peer == client.getsockname()
                assert peer_user(tables, peer, own) == os.geteuid()
                assert peer_user(tables, (peer[0], peer[1] ^ 1), own) is None
                client.shutdown(socket.SHUT_WR)
                tables = [Path("/proc/self/net/tcp").read_text()]
                assert peer_user(tables, peer, own) is None


def test_what_is_remembered_of_a_connection_counts_for_no_other(embedded: Served) -> None:
    local = embedded.app.state.services.local
    headers = Headers({"Host": "localhost"})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = listener.getsockname()
        with socket.create_connection(server):
            accepted, client = listener.accept()
            accepted.close()
        scope = {"client": client, "server": server}
        assert not local.admits(scope, headers), "it is closed"
        with socket.create_connection(server) as visitor:
            host, port = visitor.getsockname()
            scope["client"] = (host, port)
            assert local.admits(scope, headers)
        # As the server has it, an object for each connection; this one is open no more.
        assert local.admits(scope, headers)
        assert not local.admits({**scope, "client": (host, port)}, headers)
    for scope in (
        {},
        {"client": None, "server": None},
        {"client": ("10.0.0.1", 1), "server": server},
    ):
        assert not local.admits(scope, headers)


@pytest.mark.parametrize(
    ("host", "port", "user"),
    [
        ("127.0.0.1", 0xC001, 1001),
        # Closed: by its process, and already without one.
        ("127.0.0.1", 0xC002, None),
        ("127.0.0.1", 0xC004, None),
        # To another port, and from nowhere.
        ("127.0.0.1", 0xC003, None),
        ("127.0.0.1", 0xC009, None),
        # A program that speaks IPv6 and means an address of IPv4.
        ("127.0.0.1", 0xC005, 1002),
        ("::1", 0xC006, 1003),
        ("127.0.0.2", 0xC001, None),
    ],
)
def test_the_user_is_found_in_the_tables_of_the_kernel(
    host: str, port: int, user: int | None
) -> None:
    own = ("::1" if ":" in host else "127.0.0.1", 8000)
    assert peer_user([TCP, TCP6], (host, port), own) == user
    assert peer_user([], (host, port), own) is None
    assert peer_user(["", "header\nodd line\n"], (host, port), own) is None


def test_the_first_token_may_do_all_and_only_its_user_reads_it(tmp_path: Path) -> None:
    ledger, path = new_ledger(tmp_path / "ledger.db"), tmp_path / "home" / "intake-token"
    token = first_token(ledger, path)
    secret = path.read_text().strip()
    assert is_token(secret)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert (token.name, token.scopes) == (TOKEN_NAME, frozenset(Scope))
    with ledger.read() as tx:
        assert tx.tokens.find_by_hash(hash_token(secret)) == token
    ledger.close()


def test_the_first_token_stays_until_it_is_revoked_or_lost(tmp_path: Path) -> None:
    ledger, path = new_ledger(tmp_path / "ledger.db"), tmp_path / "intake-token"
    first = first_token(ledger, path)
    secret = path.read_text()
    assert first_token(ledger, path) == first
    assert path.read_text() == secret
    with ledger.write() as tx:
        tx.tokens.revoke(first.token_id)
    second = first_token(ledger, path)
    assert second.token_id != first.token_id
    assert second.name == TOKEN_NAME
    for damage in (path.unlink, lambda: path.write_bytes(b"\xff\xfe")):
        damage()
        third = first_token(ledger, path)
        assert re.fullmatch(f"{TOKEN_NAME}-[23]", third.name)
        assert first_token(ledger, path) == third
    ledger.close()


def test_a_revoked_first_token_signs_nobody_in_until_the_next_start(embedded: Served) -> None:
    client = embedded.client()
    assert signed_in(client.get("/nothing", headers=HTML))
    with embedded.shop.ledger.write() as tx:
        (token,) = tx.tokens.all()
        tx.tokens.revoke(token.token_id)
    answer = client.get("/nothing", headers=HTML)
    assert sent_to_sign_in(answer)
    assert not signed_in(answer)


def test_a_home_that_is_made_is_for_nobody_elses_eyes(tmp_path: Path) -> None:
    home = tmp_path / "of" / "school"
    services = Services.of(Settings(home=home))
    services.ledger.close()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
