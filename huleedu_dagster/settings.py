"""All settings of an installation, in one place: environment (`HULEEDU_…`), `.env`, defaults."""

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from huleedu_dagster.domain.durations import MOST_SECONDS, MOST_WAIT_SECONDS, Duration, Wait
from huleedu_dagster.domain.ids import MAX_SLOTS
from huleedu_dagster.domain.registration import BatchSettings

_PLACE = r"(?:\[[^\]@/]*\]|[^@/:?#]*)(?::\d+)?"
_DATABASE_URL = re.compile(
    rf"sqlite[+a-z]*:///.*|[a-z0-9+]+://(?:[^@/]*@)?{_PLACE}(?:[/?][^@]*)?", re.DOTALL
)
# Of a broker another kind is refused where it is needed.
_BROKER_URL = re.compile(rf"rediss?://(?:[^@/?#]*@)?{_PLACE}(?:[/?][^@]*)?|(?!redis).*", re.DOTALL)

_PAGES = r"^(?:https?://[^\s\"'<>@?#]+)?$"
"""Addresses for links: with no password, and such that a path can follow."""

_MOST = 10**15
"""More of anything was a slip of the hand: a petabyte."""


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "huleedu-dagster"


class Settings(BaseSettings):
    """Settings of one installation.

    Attributes:
        home: Folder with blobs, ledger, inbox, exports and Dagster's own files.
        ledger_url: SQLAlchemy URL of the ledger; SQLite in the home folder when empty.
        s3_endpoint: Host and port of the S3 server that keeps the blobs (`s3.school.example:9000`);
            a folder of this machine keeps them when empty.
        s3_bucket: Bucket of the blobs; it exists already.
        s3_access_key: Name of the key that may read, write and list there.
        s3_secret_key: The key itself.
        s3_secure: Whether it is spoken to by HTTPS.
        s3_region: Region of the bucket; servers of one's own take any.
        s3_connect_seconds: How long a connection to it may take, seconds.
        s3_read_seconds: How long it may be silent in the middle of an answer, seconds.
        dagster_database_url: SQLAlchemy URL of a Postgres database for Dagster's tables alone;
            SQLite in the home folder when empty.
        dagster_storage: `batched`, or `stock` for Dagster's own classes, over the same tables and
            slow.
        ledger_connections: Connections that one process holds to the ledger's Postgres, at most.
        dagster_connections: Connections that one process holds to Dagster's Postgres, at most.
        max_runs: Runs at the same time, at most; the others wait in the queue.
        broker_url: Redis-compatible broker (`redis://broker.school.example:6379/0`) whose workers
            execute the runs; the code server starts a process for each when empty.
        max_attempts: Failures of infrastructure after which an essay becomes a dead letter.
        max_slots: Essays a batch may have, at most 99.
        inbox_bucket: Bucket on the S3 server of the blobs that is watched like the inbox folder;
            none when empty.
        wave_limit: Pending essays one sensor tick looks at, at most.
        inbox_settle_seconds: Seconds a file of the inbox must be unchanged before it is taken in.
        inbox_quiet_seconds: Quiet seconds after which an unregistered inbox folder is complete.
        inbox_tick_files: Files one sensor tick takes in, at most.
        max_upload_bytes: Largest file that is taken in, in bytes.
        sensor_interval_seconds: Seconds between ticks of a sensor, at least. Dagster looks every
            5 s, and less than that must be asked for: of two looks 4.99 s apart, the second would
            pass a sensor of 5 s by.
        retry_delay_seconds: Seconds that `huleedu run` waits after a failed run.
        extraction_workers: Files that one process reads at the same time, at most.
        extraction_recycle_tasks: Files after which an extraction worker is replaced.
        extraction_memory_bytes: Memory of an extraction worker for one file, bytes.
        extraction_cpu_seconds: Processor time for reading one file, whole seconds.
        extraction_wall_seconds: Time for reading one file in all, seconds; about three times the
            processor time, since a busy machine is not the file's fault.
        extraction_open_files: File descriptors of an extraction worker.
        extraction_max_input_bytes: Largest file that is read, bytes; a larger one is kept and
            rejected.
        extraction_max_zip_members: Members of a docx or odt file.
        extraction_max_part_bytes: Unpacked size of one part of a docx or odt file, bytes.
        extraction_max_total_bytes: Unpacked size of all parts that are read of a file, bytes.
        extraction_max_part_ratio: Unpacked to packed size of one part.
        extraction_max_pdf_pages: Pages of a PDF.
        extraction_max_markup_tags: Tags of an HTML page.
        extraction_max_markup_depth: Elements of an HTML page, or groups of an RTF document, inside
            each other.
        extraction_max_tag_attributes: Attributes of one HTML tag.
        extraction_max_markdown_steps: Places the Markdown parser looks at; a text has one in
            ten characters.
        extraction_max_rtf_tokens: Control words, signs, braces and pieces of text of an RTF
            document.
        extraction_max_output_chars: Characters of extracted text.
        intake_hosts: Names in the Host header that the intake answers beside
            those of loopback, with commas between.
        intake_max_files: Files of one request to the intake.
        intake_max_request_bytes: Largest request with files, bytes.
        intake_max_concurrent: Requests that are worked on at the same time.
        intake_max_streams: Streams of events that are open at the same time.
        intake_max_pending: Essays waiting for an outcome, above which nothing new is
            taken in over HTTP.
        intake_idle_seconds: How long the next bytes of a request with files may take to come, and
            any other request as a whole, seconds.
        intake_retry_seconds: What a client is asked to wait after 429 or 503, whole seconds.
        intake_requests_per_minute: Requests of one token that are answered.
        intake_failures_per_minute: Requests with invalid tokens that an address may send before it
            is asked to wait.
        intake_session_seconds: How long a browser stays signed in, whole seconds.
        intake_session_key: Signs the cookies of browsers, the same on several machines; at least 32
            characters. Made and kept in the home folder when empty.
        dagster_url: Address of Dagster's pages for links; none are shown when empty.
        intake_url: Address of the intake's pages for links on Dagster's; none are shown when empty.
        log_format: `json` for lines of JSON, `console` for lines that people read, or `auto`:
            people on a terminal, JSON everywhere else.
        log_level: The least important lines that are written.
        spelling_engine: `index`, or `reference` for pyspellchecker itself, which is exact and slow.
        spelling_ranker: `count`, the library's order of suggestions, or `channel`, which weighs how
            likely each mistake is.
        spelling_cache: Folder with the indexes of dictionaries, shared by installations and built
            on first use.
        spelling_revision: Free text; changing it declares all spelling results stale.
        dictionaries: Folder with dictionaries of one's own (`sv.json.gz`), for other languages.
        word_list: File with words that are right in every batch, one for each line.
        language: Language of batches that nobody registered, ISO 639-1.
        variety: Variety of that language whose spelling alone is right (`en-GB`); all when empty.
        min_words: Fewest words of an essay where the batch does not say.
        max_words: Most words of an essay where the batch does not say.
    """

    model_config = SettingsConfigDict(
        env_prefix="HULEEDU_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        # What is wrong with one setting would be shown with the secrets beside it.
        hide_input_in_errors=True,
    )

    home: Path = Field(default_factory=lambda: Path.home() / ".huleedu")
    ledger_url: str = Field(default="", repr=False)
    dagster_database_url: str = Field(default="", repr=False)
    dagster_storage: Literal["batched", "stock"] = "batched"
    ledger_connections: int = Field(default=10, ge=1)
    dagster_connections: int = Field(default=10, ge=2)
    max_runs: int = Field(default=4, ge=1)
    broker_url: str = Field(default="", repr=False)
    s3_endpoint: str = Field(default="", pattern=r"^(?:[A-Za-z0-9.-]+(?::[0-9]{1,5})?)?$")
    s3_bucket: str = Field(default="", pattern=r"^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    s3_access_key: str = Field(default="", repr=False)
    s3_secret_key: SecretStr | None = None
    s3_secure: bool = True
    s3_region: str = "us-east-1"
    s3_connect_seconds: Wait = 5.0
    s3_read_seconds: Wait = 30.0
    max_attempts: int = Field(default=3, ge=1)
    max_slots: int = Field(default=MAX_SLOTS, ge=1, le=MAX_SLOTS)
    inbox_bucket: str = Field(default="", pattern=r"^(?:[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$")
    wave_limit: int = Field(default=2_000, ge=1)
    inbox_settle_seconds: Duration = 2.0
    inbox_quiet_seconds: Duration = 30.0
    inbox_tick_files: int = Field(default=200, ge=1)
    max_upload_bytes: int = Field(default=50_000_000, ge=1)
    sensor_interval_seconds: int = Field(default=3, ge=1, le=MOST_WAIT_SECONDS)
    retry_delay_seconds: float = Field(default=1.0, ge=0, le=MOST_WAIT_SECONDS, allow_inf_nan=False)
    extraction_workers: int = Field(default=2, ge=1)
    extraction_recycle_tasks: int = Field(default=100, ge=1)
    extraction_memory_bytes: int = Field(default=1024**3, ge=64 * 1024**2)
    extraction_cpu_seconds: int = Field(default=10, ge=1, le=MOST_WAIT_SECONDS)
    extraction_wall_seconds: Wait = 30.0
    extraction_open_files: int = Field(default=64, ge=16)
    extraction_max_input_bytes: int = Field(default=25 * 1024**2, ge=1)
    extraction_max_zip_members: int = Field(default=2_000, ge=1)
    extraction_max_part_bytes: int = Field(default=32 * 1024**2, ge=1)
    extraction_max_total_bytes: int = Field(default=64 * 1024**2, ge=1)
    extraction_max_part_ratio: int = Field(default=200, ge=1)
    extraction_max_pdf_pages: int = Field(default=300, ge=1)
    extraction_max_markup_tags: int = Field(default=200_000, ge=1)
    extraction_max_markup_depth: int = Field(default=5_000, ge=1)
    extraction_max_tag_attributes: int = Field(default=256, ge=1)
    extraction_max_markdown_steps: int = Field(default=200_000, ge=1)
    extraction_max_rtf_tokens: int = Field(default=2_000_000, ge=1)
    extraction_max_output_chars: int = Field(default=2_000_000, ge=1)
    intake_hosts: str = ""
    intake_max_files: int = Field(default=500, ge=1)
    intake_max_request_bytes: int = Field(default=1_000_000_000, ge=1)
    intake_max_concurrent: int = Field(default=64, ge=1)
    intake_max_streams: int = Field(default=100, ge=1)
    intake_max_pending: int = Field(default=5_000, ge=1)
    intake_idle_seconds: Wait = 60.0
    intake_retry_seconds: int = Field(default=5, ge=1, le=MOST_WAIT_SECONDS)
    intake_requests_per_minute: int = Field(default=1_200, ge=1)
    intake_failures_per_minute: int = Field(default=30, ge=1)
    intake_session_seconds: int = Field(default=12 * 3600, ge=60, le=MOST_SECONDS)
    intake_session_key: str = Field(default="", repr=False, pattern=r"^(?:\S{32,})?$")
    dagster_url: str = Field(default="", pattern=_PAGES)
    # It is in each event of an essay for ever.
    intake_url: str = Field(default="", pattern=_PAGES)
    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    spelling_engine: Literal["index", "reference"] = "index"
    spelling_ranker: Literal["count", "channel"] = "count"
    spelling_cache: Path = Field(default_factory=_user_cache)
    spelling_revision: str = ""
    dictionaries: Path | None = None
    word_list: Path | None = None
    language: str = "en"
    variety: str = ""
    min_words: int = Field(default=5, ge=0)
    max_words: int = Field(default=10_000, ge=1)

    @field_validator("*")
    @classmethod
    def _numbers_are_held_everywhere(cls, value: object) -> object:
        # By databases, by clocks and by the kernel.
        if isinstance(value, int) and value > _MOST:
            raise ValueError(f"is more than {_MOST}")
        return value

    @model_validator(mode="after")
    def _batches_can_have_them(self) -> "Settings":
        # A wrong default would be found when the first batch is registered, by nobody.
        _ = self.batch_settings
        return self

    @model_validator(mode="after")
    def _an_s3_server_is_named_in_full(self) -> "Settings":
        missing = [
            f"HULEEDU_{name.upper()}"
            for name in ("s3_bucket", "s3_access_key", "s3_secret_key")
            if not getattr(self, name)
        ]
        if self.s3_endpoint and missing:
            raise ValueError(f"HULEEDU_S3_ENDPOINT is set, and not {', '.join(missing)}")
        if self.inbox_bucket and not self.s3_endpoint:
            raise ValueError("HULEEDU_INBOX_BUCKET is set, and not HULEEDU_S3_ENDPOINT")
        if self.inbox_bucket and self.inbox_bucket == self.s3_bucket:
            raise ValueError("HULEEDU_INBOX_BUCKET is the bucket of the blobs; it needs its own")
        return self

    @field_validator("ledger_url", "dagster_database_url")
    @classmethod
    def _passwords_are_encoded(cls, value: str) -> str:
        # Else a part of the password would be taken for a host or a port, and be shown as one.
        if value and _DATABASE_URL.fullmatch(value) is None:
            raise ValueError(
                "is no URL of a database; write `@`, `/` and `%` of a password as %40, %2F and %25"
            )
        return value

    @field_validator("broker_url")
    @classmethod
    def _the_password_of_the_broker_is_encoded(cls, value: str) -> str:
        if _BROKER_URL.fullmatch(value) is None:
            raise ValueError(
                "is no URL of a broker; write `@`, `/`, `#`, `?` and `%` of a password as %40, "
                "%2F, %23, %3F and %25"
            )
        return value

    @field_validator("home", "spelling_cache", "dictionaries", "word_list")
    @classmethod
    def _paths_are_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser().resolve()

    def make_home(self) -> None:
        """Make the home folder, for nobody else's eyes; one that is there stays as it is.

        Raises:
            OSError: It cannot be made.
        """
        self.home.parent.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)

    @property
    def batch_settings(self) -> BatchSettings:
        """The settings of a batch of which nothing was said."""
        return BatchSettings(
            language=self.language,
            variety=self.variety,
            min_words=self.min_words,
            max_words=self.max_words,
        )

    @property
    def blob_folder(self) -> Path:
        """Where the local blob store keeps its blobs."""
        return self.home / "blobs"

    @property
    def s3_spool_folder(self) -> Path:
        """Where blobs wait on their way to an S3 server and back; nothing stays in it."""
        return self.home / "s3-spool"

    @property
    def inbox_folder(self) -> Path:
        """The folder that is watched for classes."""
        return self.home / "inbox"

    @property
    def export_folder(self) -> Path:
        """Where `run` writes corrected texts and reports for people."""
        return self.home / "results"

    @property
    def dagster_folder(self) -> Path:
        """Dagster's own home: `dagster.yaml` and its databases."""
        return self.home / "dagster"

    @property
    def token_file(self) -> Path:
        """The first token, in a home that is one person's."""
        return self.home / "intake-token"

    @property
    def session_key_file(self) -> Path:
        """What signs the cookies of browsers, if no setting does."""
        return self.home / "intake-session-key"

    @property
    def resolved_ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or f"sqlite:///{self.home / 'ledger.db'}"
