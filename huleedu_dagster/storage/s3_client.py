"""The S3 server as the blob store sees it: the SDK, a put that never replaces, plain errors."""

import base64
import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TypeVar, cast
from urllib.parse import urlunsplit
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.credentials.providers import Provider
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from minio.signer import sign_v4_s3
from minio.time import to_amz_date
from urllib3 import BaseHTTPResponse, PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from huleedu_dagster.storage.port import StoreRefusedError, StoreServerError, StoreSilentError

_PAUSE_MAX_SECONDS = 5.0
_CONNECTIONS = 32
_PASSING_STATUSES = frozenset({429, 500, 502, 503, 504})
_NO_ROOM = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
_NO_ROOM_STATUS = 507
_REFUSED = frozenset(
    {
        "AccessDenied",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    }
)


# Refusals that are not for good: another put is under way, or bytes were lost or late.
_PASSING = frozenset(
    {"BadDigest", "ConditionalRequestConflict", "OperationAborted", "RequestTimeout"}
)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Patience:
    """How a request is tried again that may go well the next time.

    Attributes:
        times: How often.
        pause: What is waited before it, seconds; twice as long each time. Connections are tried
            again at once before they wait.
    """

    times: int
    pause: float


def _retries(patience: Patience) -> Retry:
    # Every request of the store may be repeated: a put that got through is met by the next one.
    return Retry(
        total=patience.times,
        redirect=False,
        status_forcelist=_PASSING_STATUSES,
        allowed_methods=None,
        backoff_factor=patience.pause,
        backoff_max=_PAUSE_MAX_SECONDS,
        backoff_jitter=patience.pause,
        # Whoever waits for the store is not kept for as long as a server likes.
        respect_retry_after_header=False,
        # The answer says more than that there were too many of them.
        raise_on_status=False,
    )


def connections(timeout: Timeout, patience: Patience) -> PoolManager:
    """Connections that are kept open between requests."""
    return PoolManager(maxsize=_CONNECTIONS, timeout=timeout, retries=_retries(patience))


def again(call: Callable[[], _Value], patience: Patience) -> _Value:
    """What `call` gives; for faults that the connections do not try again by themselves.

    Args:
        call: Is called once more after an answer that broke off, or a refusal that passes.
        patience: How it is tried again.

    Raises:
        MinioException: The last refusal, or the first of another kind.
        HTTPError: The last fault.
    """
    for attempt in range(patience.times):
        try:
            return call()
        except S3Error as error:
            if error.code not in _PASSING:
                raise
        except MaxRetryError:
            # The connections did.
            raise
        except HTTPError:
            pass
        time.sleep(min(patience.pause * 2**attempt, _PAUSE_MAX_SECONDS))
    return call()


def passes(error: MinioException) -> bool:
    """Whether a refusal is for the moment."""
    return _code(error) in _PASSING or _status(error) in _PASSING_STATUSES


class S3Client(Minio):
    """The SDK's client with the request that it lacks."""

    def put_new(self, bucket: str, key: str, body: IO[bytes], size: int, sha256: bytes) -> None:
        """Send an object that must not be there yet; the server checks its hash.

        Args:
            bucket: Where to.
            key: Its name.
            body: What is sent, from its beginning; not held in memory.
            size: Size in bytes.
            sha256: The hash of all of it.

        Raises:
            S3Error: The server refuses it; code `PreconditionFailed` if the key is taken.
            MinioException: The server does not answer as one of S3.
            HTTPError: The server cannot be reached.
        """
        region = self._get_region(bucket)
        url = self._base_url.build(method="PUT", region=region, bucket_name=bucket, object_name=key)
        now = datetime.now(UTC)
        headers = sign_v4_s3(
            method="PUT",
            url=url,
            region=region,
            headers={
                "Content-Length": str(size),
                "Content-Type": "application/octet-stream",
                "Host": url.netloc,
                "If-None-Match": "*",
                # Checked when it arrives, kept, and asked of buckets with object lock.
                "x-amz-checksum-sha256": base64.b64encode(sha256).decode(),
                "x-amz-content-sha256": sha256.hex(),
                "x-amz-date": to_amz_date(now),
            },
            # There is one: a key is given to every client of the store.
            credentials=cast(Provider, self._provider).retrieve(),
            content_sha256=sha256.hex(),
            date=now,
        )
        body.seek(0)
        response = self._http.urlopen("PUT", urlunsplit(url), body=body, headers=headers)
        # Something between here and the server may answer 200 by itself.
        if response.status != 200 or "etag" not in response.headers:
            raise _refusal(response)


def _refusal(response: BaseHTTPResponse) -> MinioException:
    kind = response.headers.get("content-type")
    try:
        return S3Error.fromxml(response)
    except (ParseError, UnicodeDecodeError):
        return InvalidResponseError(response.status, kind, None)


@contextmanager
def plain_errors(bucket: str, setting: str = "HULEEDU_S3_BUCKET") -> Iterator[None]:
    """Raise what went wrong as a `StoreServerError` that names neither keys nor secrets.

    Args:
        bucket: What was asked for.
        setting: Which setting names it.
    """
    try:
        yield
    except MinioException as error:
        raise _explained(error, bucket, setting) from None
    except HTTPError as error:
        raise _unreachable(error) from error
    except ParseError:
        raise StoreServerError(errno.EPROTO, "the S3 server does not answer as one of S3") from None


def _explained(error: MinioException, bucket: str, setting: str) -> StoreServerError:
    code, status = _code(error), _status(error)
    if code in _REFUSED:
        advice = "see HULEEDU_S3_ACCESS_KEY, HULEEDU_S3_SECRET_KEY and what this key may do"
        return StoreRefusedError(errno.EACCES, f"the S3 server refuses the key ({code}); {advice}")
    if code == "NoSuchBucket":
        advice = f"create it or see {setting}"
        return StoreServerError(errno.ENODEV, f"the S3 server has no bucket {bucket!r}; {advice}")
    if code in _NO_ROOM or status == _NO_ROOM_STATUS:
        return StoreServerError(errno.ENOSPC, "the S3 server has no room left")
    if code == "RequestTimeTooSkewed":
        return StoreServerError(errno.EIO, "the clocks of the S3 server and of this machine differ")
    return StoreServerError(errno.EIO, f"the S3 server answers {code or 'with status'} ({status})")


def _code(error: MinioException) -> str | None:
    return error.code if isinstance(error, S3Error) else None


def _status(error: MinioException) -> int | None:
    if isinstance(error, S3Error):
        return error.response.status
    if isinstance(error, ServerError):
        return error.status_code
    return getattr(error, "_code", None)


def _unreachable(error: HTTPError) -> StoreServerError:
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    # That nobody listens is known at once, though the library counts it among what took too long.
    if isinstance(reason, HTTPTimeoutError) and not isinstance(reason, NewConnectionError):
        advice = "see HULEEDU_S3_CONNECT_SECONDS and HULEEDU_S3_READ_SECONDS"
        return StoreSilentError(errno.ETIMEDOUT, f"the S3 server does not answer in time; {advice}")
    kind = type(reason).__name__
    advice = "see HULEEDU_S3_ENDPOINT and HULEEDU_S3_SECURE"
    return StoreServerError(
        errno.EHOSTUNREACH, f"the S3 server cannot be reached ({kind}); {advice}"
    )
