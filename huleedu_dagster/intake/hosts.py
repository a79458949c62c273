"""Names of this machine, as the Host header of a request has them."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


def without_port(host: str) -> str:
    """The name in a Host header, lower case."""
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host.strip().lower()
