"""How much the intake takes on at once, so that a rush is answered and never a collapse."""

from dataclasses import dataclass

from huleedu_dagster.settings import Settings


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """Limits of the application.

    Attributes:
        hosts: Names in the Host header that are answered beside those of loopback, lower case.
        max_json_bytes: Largest body of a request without files, bytes.
        max_request_bytes: Largest body of a request with files, bytes.
        max_file_bytes: Largest file that is taken in, bytes.
        max_files: Files of one request.
        max_concurrent: Requests that are worked on at the same time; as many with files and as
            many others, so that slow uploads keep nobody from looking. Each has a thread, so
            that it may wait for the store. One token has half of them, also of the streams, so
            that it keeps no other out.
        max_streams: Requests that are answered with a stream of events at the same time.
        requests_per_minute: Requests of one token.
        failures_per_minute: Requests of one address with tokens that are not valid.
        max_pending: Essays waiting for an outcome, above which nothing new is taken in.
        max_checks: Looks at whether ledger and store can be reached at the same time. Each holds
            a thread for as long as a store that hangs.
        idle_seconds: How long the next bytes of a body with files may take to come, any other
            body as a whole, and the next bytes of an answer to be taken, seconds.
        retry_seconds: What an answer with 429 or 503 asks the client to wait, whole seconds.
    """

    hosts: frozenset[str] = frozenset()
    max_json_bytes: int = 1_000_000
    max_request_bytes: int = 1_000_000_000
    max_file_bytes: int = 50_000_000
    max_files: int = 500
    max_concurrent: int = 64
    max_streams: int = 100
    max_checks: int = 4
    requests_per_minute: int = 1_200
    failures_per_minute: int = 30
    max_pending: int = 5_000
    idle_seconds: float = 60.0
    retry_seconds: int = 5

    @classmethod
    def of(cls, settings: Settings) -> "IntakeLimits":
        """The limits of an installation."""
        names = (it.strip().lower() for it in settings.intake_hosts.split(","))
        return cls(
            hosts=frozenset(filter(None, names)),
            max_request_bytes=settings.intake_max_request_bytes,
            max_file_bytes=settings.max_upload_bytes,
            max_files=settings.intake_max_files,
            max_concurrent=settings.intake_max_concurrent,
            max_streams=settings.intake_max_streams,
            requests_per_minute=settings.intake_requests_per_minute,
            failures_per_minute=settings.intake_failures_per_minute,
            max_pending=settings.intake_max_pending,
            idle_seconds=settings.intake_idle_seconds,
            retry_seconds=settings.intake_retry_seconds,
        )
