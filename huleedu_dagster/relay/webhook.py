"""A relay that posts each event to a URL, signed.

Redirects are not followed and proxies of the environment are not used: what is signed for one
receiver goes to no other. Addresses of private networks are fine, schools have their receivers
there.
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

from huleedu_dagster.domain.keys import canonical_json, sha256_hex
from huleedu_dagster.relay.port import DeliveryError, Envelope
from huleedu_dagster.relay.signatures import (
    ID_HEADER,
    SHORTEST_SECRET,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    TYPE_HEADER,
    sign,
)

_PRINTABLE = re.compile(r"[!-~]+")
_RETRYABLE_4XX = frozenset({408, 425, 429})
_USER_AGENT = "huleedu-dagster"


class InvalidTargetError(ValueError):
    """A URL or a secret that cannot be used. The message does not repeat it."""


class WebhookRelay:
    """Posts each event as JSON; any 2xx means that the receiver has it for good.

    A 4xx is a refusal for good, but 408, 425 and 429, which are tried again like all else;
    `Retry-After` is heeded.

    Args:
        url: `http` or `https`, without user name and password.
        secret: What signatures are made with, 16 bytes at least.
        timeout: Seconds for one request in all, and for each step of it.
        clock: Seconds since 1970, UTC.

    Raises:
        InvalidTargetError: The URL or the secret cannot be used.
    """

    # One event is one request: what is refused, and what comes twice after a crash, is one event.
    batch_size = 1

    def __init__(
        self,
        url: str,
        secret: bytes,
        *,
        timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _checked(url)
        if len(secret) < SHORTEST_SECRET:
            raise InvalidTargetError(f"a secret has at least {SHORTEST_SECRET} bytes")
        self._secret = secret
        self._timeout = timeout
        self._clock = clock
        # A path or a query may be a secret of its own; the hash keeps two of a host apart.
        self._name = f"webhook:{(self._url.hostname or '')[:58]}:{sha256_hex(url.encode())[:12]}"

    @property
    def name(self) -> str:
        """See `Relay.name`: the URL's host and a hash of the whole."""
        return self._name

    def deliver(self, envelopes: Sequence[Envelope]) -> None:
        """See `Relay.deliver`.

        Raises:
            DeliveryError: An event was refused, or the receiver did not answer.
        """
        for envelope in envelopes:
            self._post(envelope)

    def _post(self, envelope: Envelope) -> None:
        body = canonical_json(envelope).encode()
        timestamp = int(self._clock())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENT,
            "Connection": "close",
            ID_HEADER: str(envelope["event_id"]),
            TYPE_HEADER: str(envelope["event_type"]),
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(self._secret, timestamp, body),
        }
        try:
            status, retry_after = self._answer(body, headers)
        except (OSError, http.client.HTTPException) as error:
            # The class alone: messages of the libraries hold parts of URLs and answers.
            raise DeliveryError(type(error).__name__, retryable=True) from error
        if not 200 <= status < 300:
            raise DeliveryError(
                f"status {status}",
                retryable=not 400 <= status < 500 or status in _RETRYABLE_4XX,
                retry_after=seconds_to_wait(retry_after, self._clock()),
            )

    def _answer(self, body: bytes, headers: dict[str, str]) -> tuple[int, str | None]:
        connection = self._connection()
        target = self._url.path or "/"
        if self._url.query:
            target += f"?{self._url.query}"
        try:
            connection.connect()
            with _all_within(connection.sock, self._timeout):
                connection.request("POST", target, body=body, headers=headers)
                with connection.getresponse() as answer:
                    return answer.status, answer.getheader("Retry-After")
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "http":
            return http.client.HTTPConnection(host, self._url.port, timeout=self._timeout)
        return http.client.HTTPSConnection(
            host, self._url.port, timeout=self._timeout, context=ssl.create_default_context()
        )


@contextmanager
def _all_within(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Break a connection off when the block takes longer, in however small steps."""
    over = threading.Event()

    def break_off() -> None:
        over.set()
        with suppress(OSError):
            # Whoever waits to read or write wakes up.
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, break_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
        timer.join()
    # Without an error too: headers that were broken off look as if they were complete.
    if over.is_set():
        raise TimeoutError


def _checked(url: str) -> SplitResult:
    if not _PRINTABLE.fullmatch(url):
        raise InvalidTargetError("a URL has printable ASCII characters and no spaces")
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError as error:
        raise InvalidTargetError("this is no URL") from error
    if found.scheme not in ("http", "https") or not found.hostname or port == 0:
        raise InvalidTargetError("a URL begins with http:// or https:// and has a host")
    if found.username is not None or found.password is not None:
        raise InvalidTargetError("a URL has no user name and password; requests are signed")
    return found


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """What a `Retry-After` header asks for (RFC 9110, 10.2.3): seconds, or a date.

    Args:
        retry_after: The header's value, if there is one.
        now: Seconds since 1970, UTC.

    Returns:
        Seconds, not negative; `None` when there is no header or it cannot be understood.
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        # Numbers that no calendar has, too: another server's header must not end the relay.
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now, UTC)).total_seconds())
