"""The ledger's tables, portable between SQLite and Postgres.

Repeats are made harmless here, by unique constraints: an essay's path, its versions, a slot, the
materialization key of a stage, an event, an attempt of a run, a dead letter, a waiver, a release,
an idempotency key, an event that a relay could not deliver.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; aware in Python, without a zone in the database (SQLite has none)."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC without a zone.

        Raises:
            ValueError: The moment has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("moments in the ledger are aware")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the stored moment its zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _batch_reference() -> sa.Column[str]:
    return sa.Column("batch_id", sa.String(63), sa.ForeignKey("batches.batch_id"), nullable=False)


batches = sa.Table(
    "batches",
    metadata,
    sa.Column("batch_id", sa.String(63), primary_key=True),
    sa.Column("registered_at", UtcDateTime, nullable=False),
    sa.Column("correlation_id", sa.String(36), nullable=False),
    sa.Column("expected_essay_count", sa.Integer),
    sa.Column("deadline", UtcDateTime),
    sa.Column("timeout_seconds", sa.Float),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("course", sa.Text, nullable=False),
    sa.Column("class_name", sa.Text, nullable=False),
    sa.Column("instructions", sa.Text, nullable=False),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("settings_version", sa.String(64), nullable=False),
    sa.Column("published_settings_version", sa.String(64)),
    sa.Column("last_received_at", UtcDateTime),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("closed_by", sa.String(16)),
    sa.Column("reported_fingerprint", sa.String(64)),
    sa.Column("reported_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    # No foreign key: SQLite cannot add one to a table that exists, and no token is ever deleted.
    sa.Column("owner", sa.String(32)),
    sa.Index(None, "owner"),
    sa.Index(None, "registered_at"),
)
uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("upload_id", sa.String(32), primary_key=True),
    _batch_reference(),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("slot", sa.String(4)),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("blob_key", sa.String(255), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("correlation_id", sa.String(36), nullable=False),
    sa.UniqueConstraint("batch_id", "path", "version"),
    sa.Index(None, "batch_id", "sha256"),
    sa.Index(None, "received_at"),
)

essays = sa.Table(
    "essays",
    metadata,
    _batch_reference(),
    sa.Column("slot", sa.String(4), nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("upload_id", sa.String(32), sa.ForeignKey("uploads.upload_id"), nullable=False),
    sa.Column("pending", sa.Boolean, nullable=False),
    sa.Column("due", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("generation", sa.Integer, nullable=False, server_default="0"),
    sa.Column("reprocess", sa.Integer),
    sa.Column("outcome", sa.String(16)),
    sa.PrimaryKeyConstraint("batch_id", "slot"),
    sa.UniqueConstraint("batch_id", "path"),
    sa.Index(None, "due", "batch_id"),
    # Holds all that essays are counted by.
    sa.Index(None, "outcome", "pending"),
)

# What sensors ask for again and again is found without a look at all that is done.
for _name, _column, _condition in (
    ("open", batches.c.batch_id, batches.c.closed_at.is_(None)),
    (
        "unreported",
        batches.c.closed_at,
        batches.c.closed_at.is_not(None) & batches.c.reported_fingerprint.is_(None),
    ),
    (
        "unpublished",
        batches.c.registered_at,
        batches.c.published_settings_version.is_distinct_from(batches.c.settings_version),
    ),
    (
        "waiting",
        essays.c.batch_id,
        essays.c.pending.is_(sa.true()) | essays.c.reprocess.is_not(None),
    ),
    ("timed_out", batches.c.batch_id, batches.c.closed_by.in_(("deadline", "timeout"))),
):
    sa.Index(
        f"ix_{_column.table.name}_{_name}",
        _column,
        sqlite_where=_condition,
        postgresql_where=_condition,
    )

stage_outcomes = sa.Table(
    "stage_outcomes",
    metadata,
    sa.Column("outcome_id", sa.Integer, primary_key=True, autoincrement=True),
    _batch_reference(),
    sa.Column("slot", sa.String(4), nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("materialization_key", sa.String(64), nullable=False),
    sa.Column("upload_id", sa.String(32), sa.ForeignKey("uploads.upload_id"), nullable=False),
    sa.Column("code_version", sa.String(255), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("code", sa.String(32)),
    sa.Column("transient", sa.Boolean, nullable=False),
    sa.Column("data_version", sa.String(64), nullable=False),
    sa.Column("blob_key", sa.String(255)),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("duration_ms", sa.Integer, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("batch_id", "slot", "stage", "materialization_key"),
    sa.Index(None, "recorded_at"),
)

current_outcomes = sa.Table(
    "current_outcomes",
    metadata,
    _batch_reference(),
    sa.Column("slot", sa.String(4), nullable=False),
    sa.Column("stage", sa.String(32), nullable=False),
    sa.Column("outcome_id", sa.Integer, sa.ForeignKey("stage_outcomes.outcome_id"), nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "slot", "stage"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event_id", sa.String(36), nullable=False, unique=True),
    sa.Column("event_type", sa.String(80), nullable=False),
    sa.Column("data_hash", sa.String(64), nullable=False),
    sa.Column("event_timestamp", UtcDateTime, nullable=False),
    sa.Column("batch_id", sa.String(63), nullable=False, index=True),
    sa.Column("slot", sa.String(4)),
    sa.Column("envelope", sa.JSON, nullable=False),
    sa.UniqueConstraint("event_type", "data_hash"),
    sa.Index(None, "event_timestamp"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("attempt_id", sa.Integer, primary_key=True, autoincrement=True),
    _batch_reference(),
    sa.Column("slot", sa.String(5), nullable=False),
    sa.Column("run_id", sa.String(36), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(120), nullable=False),
    sa.Column("failed_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("batch_id", "slot", "run_id"),
    sa.Index(None, "run_id"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("dead_letter_id", sa.Integer, primary_key=True, autoincrement=True),
    _batch_reference(),
    sa.Column("slot", sa.String(5), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("reason", sa.String(120), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("correlation_id", sa.String(36), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("resolved_at", UtcDateTime),
    sa.UniqueConstraint("batch_id", "slot", "generation"),
    sa.Index(None, "state"),
    sa.Index(None, "created_at"),
    sa.Index(None, "resolved_at"),
)

waivers = sa.Table(
    "waivers",
    metadata,
    _batch_reference(),
    sa.Column("slot", sa.String(4), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("waived_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "slot"),
)

batch_results = sa.Table(
    "batch_results",
    metadata,
    _batch_reference(),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("blob_key", sa.String(255), nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "kind", "fingerprint"),
)

releases = sa.Table(
    "releases",
    metadata,
    _batch_reference(),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("manifest_blob", sa.String(255), nullable=False),
    sa.Column("released_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "revision"),
    sa.Index(None, "released_at"),
)

inbox_files = sa.Table(
    "inbox_files",
    metadata,
    _batch_reference(),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("signature", sa.String(64), nullable=False),
    sa.PrimaryKeyConstraint("batch_id", "path"),
)

audit_reports = sa.Table(
    "audit_reports",
    metadata,
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("blob_key", sa.String(255), nullable=False),
    sa.Column("totals", sa.JSON, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("day", "kind"),
)

api_tokens = sa.Table(
    "api_tokens",
    metadata,
    sa.Column("token_id", sa.String(32), primary_key=True),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)
# The name of a revoked token is free again, so that a token can be replaced under its name.
sa.Index(
    "uq_api_tokens_name",
    api_tokens.c.name,
    unique=True,
    sqlite_where=api_tokens.c.revoked_at.is_(None),
    postgresql_where=api_tokens.c.revoked_at.is_(None),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("owner", sa.String(32), sa.ForeignKey("api_tokens.token_id"), nullable=False),
    sa.Column("key", sa.String(255), nullable=False),
    sa.Column("route", sa.String(255), nullable=False),
    sa.Column("request_hash", sa.String(64), nullable=False),
    sa.Column("claim", sa.String(32), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("status", sa.Integer),
    sa.Column("headers", sa.JSON(none_as_null=True)),
    sa.Column("body", sa.LargeBinary),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.PrimaryKeyConstraint("owner", "key"),
    sa.Index(None, "created_at"),
)

relay_positions = sa.Table(
    "relay_positions",
    metadata,
    sa.Column("relay", sa.String(80), primary_key=True),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

relay_dead_letters = sa.Table(
    "relay_dead_letters",
    metadata,
    sa.Column("letter_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("relay", sa.String(80), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False),
    sa.Column("event_id", sa.String(36), nullable=False),
    sa.Column("reason", sa.String(120), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("resolved_at", UtcDateTime),
    sa.UniqueConstraint("relay", "seq"),
    sa.Index(None, "resolved_at"),
)

# Sums that metrics are told from, kept in the transactions that change them.
metric_sums = sa.Table(
    "metric_sums",
    metadata,
    sa.Column("metric", sa.String(32), nullable=False),
    sa.Column("label", sa.String(32), nullable=False),
    sa.Column("bound_ms", sa.BigInteger, nullable=False),
    sa.Column("observations", sa.BigInteger, nullable=False),
    sa.Column("total", sa.Float, nullable=False),
    sa.PrimaryKeyConstraint("metric", "label", "bound_ms"),
)

# The journal refers to nothing, so that what changes nothing else waits for nobody's work.
actions = sa.Table(
    "actions",
    metadata,
    sa.Column("action_id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("acted_at", UtcDateTime, nullable=False),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("actor_id", sa.String(255), nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("batch_id", sa.String(63)),
    sa.Column("slot", sa.String(5)),
    sa.Column("amount", sa.Integer, nullable=False),
    sa.Column("correlation_id", sa.String(36)),
    sa.Column("token_id", sa.String(32)),
    sa.Index(None, "acted_at"),
    sa.Index(None, "batch_id"),
)
