"""Refuses connections that leave this machine."""

import ipaddress
import sys
from typing import Any


class OutboundConnectionError(Exception):
    """Something tried to leave this machine."""


def forbid_outbound() -> None:
    """From now on, connecting to anything but this machine raises."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    if event != "socket.getaddrinfo" and not isinstance(address, tuple):
        return
    if not _is_local(host):
        raise OutboundConnectionError("tests do not leave this machine")


def _is_local(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
