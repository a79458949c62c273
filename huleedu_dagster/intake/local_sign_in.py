"""Embedded mode: the first token, and whether a connection is the user's of this computer.

The pages open signed in for the person who started `huleedu up`, who could read the home folder
anyway, and for nobody else; docs/adr/0017 has the reasons.
"""

import os
import socket
import struct
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers

from huleedu_dagster.domain.access import Scope, hash_token, new_token
from huleedu_dagster.domain.actions import INTAKE, Action
from huleedu_dagster.intake.hosts import LOOPBACK_NAMES, without_port
from huleedu_dagster.intake.private_files import replace
from huleedu_dagster.ledger.ledger import Ledger, Transaction
from huleedu_dagster.ledger.records import ApiToken
from huleedu_dagster.ledger.tokens import TokenNameTakenError

TOKEN_NAME = "this-computer"  # noqa: S105

_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
_ESTABLISHED = "01"
_ORPHAN = "0"
_FORWARDED = ("forwarded", "via", "x-forwarded", "x-real-ip")
_MOST_NAMES = 1_000
_MOST_CONNECTIONS = 256

Address = tuple[str, int]
"""Host and port of one end of a connection."""


class LocalSignIn:
    """Signs in the user this process runs as.

    Args:
        token_id: The token that person acts as.

    Attributes:
        token_id: The token that person acts as.
    """

    def __init__(self, token_id: str) -> None:
        self.token_id = token_id
        self._own: OrderedDict[int, Address] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, ledger: Ledger, token_file: Path) -> "LocalSignIn":
        """The sign-in of a home; makes its first token when none works.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
            OSError: The file with the token cannot be read or written.
        """
        return cls(first_token(ledger, token_file).token_id)

    def admits(self, scope: Mapping[str, Any], headers: Headers) -> bool:
        """Whether a request certainly comes from a process of this user, on this machine.

        Args:
            scope: The connection, see ASGI.
            headers: Headers of the request.
        """
        hosts = headers.getlist("Host")
        return (
            len(hosts) == 1
            and without_port(hosts[0]) in LOOPBACK_NAMES
            # Behind a reverse proxy everybody would come from this machine.
            and not any(it.startswith(_FORWARDED) for it in headers)
            and "cross-site" not in headers.getlist("Sec-Fetch-Site")
            and self._is_own(scope.get("client"), scope.get("server"))
        )

    def _is_own(self, client: Address | None, server: Address | None) -> bool:
        # The kernel takes milliseconds to tell. The server gives all requests of a connection the
        # same object; kept here, no other connection can have one of this identity.
        with self._lock:
            if client is not None and self._own.get(id(client)) is client:
                self._own.move_to_end(id(client))
                return True
        if client is None or server is None or not _is_of_this_user(client, server):
            return False
        with self._lock:
            self._own[id(client)] = client
            if len(self._own) > _MOST_CONNECTIONS:
                self._own.popitem(last=False)
        return True


def first_token(ledger: Ledger, path: Path) -> ApiToken:
    """The token in a file if it still works, or else a new one, kept there.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: The ledger cannot be reached.
        OSError: The file cannot be read or written.
    """
    with ledger.acting(INTAKE).write() as tx:
        found = tx.tokens.find_by_hash(hash_token(_content(path).strip()))
        if found is not None:
            return found
        secret = new_token()
        made = _create(tx, hash_token(secret))
        tx.actions.record(Action.TOKEN_CREATED, token_id=made.token_id)
        # Before the ledger has it: a token that nobody knows would stay there for ever.
        replace(path, f"{secret}\n")
        return made


def peer_user(tables: Iterable[str], peer: Address, own: Address) -> int | None:
    """Whose process is at the other end of a connection.

    Args:
        tables: The kernel's tables of TCP connections, as in `/proc/net/tcp`.
        peer: The other end.
        own: This end.

    Returns:
        The user id; `None` when the tables do not tell, or the connection is no longer open both
        ways: what no process holds any more is shown as root's.
    """
    wanted = {(local, remote) for local, remote in zip(_shown(peer), _shown(own), strict=True)}
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) < 10 or (fields[1], fields[2]) not in wanted:
                continue
            state, user, inode = fields[3], fields[7], fields[9]
            return int(user) if state == _ESTABLISHED and inode != _ORPHAN else None
    return None


def _is_of_this_user(client: Address, server: Address) -> bool:
    try:
        if not ip_address(client[0]).is_loopback:
            return False
        tables = [it.read_text() for it in _TABLES if it.exists()]
    except (ValueError, OSError):
        return False
    return peer_user(tables, client, server) == os.geteuid()


def _shown(address: Address) -> tuple[str, str]:
    """An address as the tables of IPv4 and of IPv6 show it; the same twice where one cannot."""
    host, port = ip_address(address[0]), f"{address[1]:04X}"
    if isinstance(host, IPv6Address):
        return (f"{_words(host.packed)}:{port}",) * 2
    mapped = socket.inet_pton(socket.AF_INET6, f"::ffff:{host}")
    return f"{_words(host.packed)}:{port}", f"{_words(mapped)}:{port}"


def _words(packed: bytes) -> str:
    # The kernel prints each four bytes as a number of this machine.
    count = len(packed) // 4
    return "".join(f"{it:08X}" for it in struct.unpack(f"={count}I", packed))


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _create(tx: Transaction, token_hash: str) -> ApiToken:
    for number in range(1, _MOST_NAMES):
        name = TOKEN_NAME if number == 1 else f"{TOKEN_NAME}-{number}"
        try:
            return tx.tokens.create(name, Scope, token_hash)
        except TokenNameTakenError:
            # Of a token whose file is gone; an operator may still want to revoke it.
            continue
    raise TokenNameTakenError(TOKEN_NAME)
