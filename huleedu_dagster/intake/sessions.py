"""Sessions of browsers: a signed cookie that stands for a token, and the secret of its forms.

The cookie holds ids and no token. It is signed, not encrypted, and every request looks the token
up, so that a session ends with its token.
"""

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from huleedu_dagster.intake.private_files import kept
from huleedu_dagster.settings import Settings

COOKIE = "huleedu_session"
DEFAULT_SECONDS = 12 * 3600

_KEY_BYTES = 32
_LEAST_KEY = 32
# Names what the cookie holds; another content gets another name.
_SALT = "huleedu.session.1"
_MOST_ENDED = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in.

    Attributes:
        token_id: The token it acts as.
        session_id: Its own id, random.
        ends_at: When it ends by itself, seconds since 1970.
        is_local: Begun for the user of this computer, without anybody showing a token.
        csrf_token: What its forms and its requests bring along, and another site cannot know.
    """

    token_id: str
    session_id: str
    ends_at: int
    is_local: bool
    csrf_token: str


class Sessions:
    """Makes sessions and recognises them.

    Args:
        key: Signs the cookies; at least 32 characters that nobody can guess.
        seconds: How long a session lasts.

    Raises:
        ValueError: The key is too short.
    """

    def __init__(self, key: str, seconds: int = DEFAULT_SECONDS) -> None:
        if len(key) < _LEAST_KEY:
            raise ValueError(f"the key of the sessions has less than {_LEAST_KEY} characters")
        self._key = key.encode()
        self._seconds = seconds
        self._ended: dict[str, int] = {}
        self._local: Session | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, settings: Settings) -> "Sessions":
        """The sessions of an installation; makes its key at the first use.

        Raises:
            OSError: The file with the key cannot be read or made.
            ValueError: What is in it is no key.
        """
        key = settings.intake_session_key or kept(settings.session_key_file, _new_key)
        return cls(key.strip(), settings.intake_session_seconds)

    @classmethod
    def unkept(cls) -> "Sessions":
        """Sessions that end with the process."""
        return cls(_new_key())

    def begin(self, token_id: str) -> Session:
        """A new session that acts as a token."""
        return self._begin(token_id, is_local=False)

    def begin_local(self, token_id: str) -> Session:
        """The session of this computer's user, the same again while half of its time is left.

        Pages that are opened at once each come without a cookie; with a session each, the last
        one's cookie would take the others' forms their secret.
        """
        with self._lock:
            known, half = self._local, time.time() + self._seconds / 2
            is_good = known is not None and known.token_id == token_id and known.ends_at > half
            if known is None or not is_good or known.session_id in self._ended:
                known = self._local = self._begin(token_id, is_local=True)
            return known

    def find(self, headers: Headers) -> Session | None:
        """The session of a request, `None` when it has none that is whole and lasts.

        Whether its token is still valid is not known here.
        """
        from itsdangerous import BadData

        cookies = [it for line in headers.getlist("Cookie") for it in cookie_parser(line).items()]
        value = dict(cookies).get(COOKIE)
        if value is None:
            return None
        try:
            token_id, session_id, ends_at, is_local = self._serializer().loads(value)
        except BadData:
            return None
        if ends_at <= time.time() or session_id in self._ended:
            return None
        return self._session(token_id, session_id, ends_at, is_local)

    def end(self, session: Session) -> None:
        """Let a session count no more, also for who kept its cookie."""
        with self._lock:
            now = time.time()
            lasting = [it for it in self._ended.items() if it[1] > now]
            # The first to be forgotten are those that were ended first.
            self._ended = dict(lasting[1 - _MOST_ENDED :])
            self._ended[session.session_id] = session.ends_at

    def cookie(self, session: Session | None, *, secure: bool) -> str:
        """A Set-Cookie header that lets a browser keep a session, or forget the one it has.

        Args:
            session: What to keep.
            secure: Whether the browser may send it over HTTPS only.
        """
        response = Response()
        value, seconds = "", 0
        if session is not None:
            made = (session.token_id, session.session_id, session.ends_at, session.is_local)
            value, seconds = self._serializer().dumps(made), self._seconds
        response.set_cookie(
            COOKIE,
            value,
            max_age=seconds,
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return response.headers["Set-Cookie"]

    def _begin(self, token_id: str, *, is_local: bool) -> Session:
        ends_at = int(time.time()) + self._seconds
        return self._session(token_id, secrets.token_urlsafe(16), ends_at, is_local)

    def _session(self, token_id: str, session_id: str, ends_at: int, is_local: bool) -> Session:
        proof = hmac.new(self._key, b"csrf:" + session_id.encode(), hashlib.sha256)
        return Session(token_id, session_id, ends_at, is_local, proof.hexdigest())

    def _serializer(self) -> Any:
        from itsdangerous import URLSafeSerializer

        how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(self._key, salt=_SALT, signer_kwargs=how)


def _new_key() -> str:
    return secrets.token_urlsafe(_KEY_BYTES)
