"""Batches that are open, unreported or unpublished are found without a look at all others."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.drop_index(op.f('ix_batches_closed_at_reported_fingerprint'), table_name='batches')
    op.create_index('ix_batches_open', 'batches', ['batch_id'], unique=False, sqlite_where=sa.text('closed_at IS NULL'), postgresql_where=sa.text('closed_at IS NULL'))
    op.create_index('ix_batches_unreported', 'batches', ['closed_at'], unique=False, sqlite_where=sa.text('closed_at IS NOT NULL AND reported_fingerprint IS NULL'), postgresql_where=sa.text('closed_at IS NOT NULL AND reported_fingerprint IS NULL'))
    op.create_index('ix_batches_unpublished', 'batches', ['registered_at'], unique=False, sqlite_where=sa.text('published_settings_version IS NOT settings_version'), postgresql_where=sa.text('published_settings_version IS DISTINCT FROM settings_version'))
    op.create_index('ix_essays_waiting', 'essays', ['batch_id'], unique=False, sqlite_where=sa.text('pending IS 1 OR reprocess IS NOT NULL'), postgresql_where=sa.text('pending IS true OR reprocess IS NOT NULL'))
