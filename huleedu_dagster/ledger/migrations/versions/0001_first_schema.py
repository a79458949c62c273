"""The first schema of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table('audit_reports',
    sa.Column('day', sa.String(length=10), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('blob_key', sa.String(length=255), nullable=False),
    sa.Column('totals', sa.JSON(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('day', 'kind', name=op.f('pk_audit_reports'))
    )
    op.create_table('batches',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('registered_at', sa.DateTime(), nullable=False),
    sa.Column('correlation_id', sa.String(length=36), nullable=False),
    sa.Column('expected_essay_count', sa.Integer(), nullable=True),
    sa.Column('deadline', sa.DateTime(), nullable=True),
    sa.Column('timeout_seconds', sa.Float(), nullable=True),
    sa.Column('source', sa.String(length=16), nullable=False),
    sa.Column('course', sa.Text(), nullable=False),
    sa.Column('class_name', sa.Text(), nullable=False),
    sa.Column('instructions', sa.Text(), nullable=False),
    sa.Column('settings', sa.JSON(), nullable=False),
    sa.Column('settings_version', sa.String(length=64), nullable=False),
    sa.Column('published_settings_version', sa.String(length=64), nullable=True),
    sa.Column('last_received_at', sa.DateTime(), nullable=True),
    sa.Column('closed_at', sa.DateTime(), nullable=True),
    sa.Column('closed_by', sa.String(length=16), nullable=True),
    sa.Column('reported_fingerprint', sa.String(length=64), nullable=True),
    sa.Column('reported_at', sa.DateTime(), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('generation', sa.Integer(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('batch_id', name=op.f('pk_batches'))
    )
    op.create_index(op.f('ix_batches_closed_at_reported_fingerprint'), 'batches', ['closed_at', 'reported_fingerprint'], unique=False)
    op.create_table('outbox',
    sa.Column('seq', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('event_id', sa.String(length=36), nullable=False),
    sa.Column('event_type', sa.String(length=80), nullable=False),
    sa.Column('data_hash', sa.String(length=64), nullable=False),
    sa.Column('event_timestamp', sa.DateTime(), nullable=False),
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=True),
    sa.Column('envelope', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_outbox')),
    sa.UniqueConstraint('event_id', name=op.f('uq_outbox_event_id')),
    sa.UniqueConstraint('event_type', 'data_hash', name=op.f('uq_outbox_event_type_data_hash'))
    )
    op.create_index(op.f('ix_outbox_batch_id'), 'outbox', ['batch_id'], unique=False)
    op.create_index(op.f('ix_outbox_event_timestamp'), 'outbox', ['event_timestamp'], unique=False)
    op.create_table('attempts',
    sa.Column('attempt_id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=5), nullable=False),
    sa.Column('run_id', sa.String(length=36), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=120), nullable=False),
    sa.Column('failed_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_attempts_batch_id')),
    sa.PrimaryKeyConstraint('attempt_id', name=op.f('pk_attempts')),
    sa.UniqueConstraint('batch_id', 'slot', 'run_id', name=op.f('uq_attempts_batch_id_slot_run_id'))
    )
    op.create_index(op.f('ix_attempts_run_id'), 'attempts', ['run_id'], unique=False)
    op.create_table('batch_results',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('blob_key', sa.String(length=255), nullable=False),
    sa.Column('recorded_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_batch_results_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'kind', 'fingerprint', name=op.f('pk_batch_results'))
    )
    op.create_table('dead_letters',
    sa.Column('dead_letter_id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=5), nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('reason', sa.String(length=120), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('correlation_id', sa.String(length=36), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('resolved_at', sa.DateTime(), nullable=True),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_dead_letters_batch_id')),
    sa.PrimaryKeyConstraint('dead_letter_id', name=op.f('pk_dead_letters')),
    sa.UniqueConstraint('batch_id', 'slot', 'generation', name=op.f('uq_dead_letters_batch_id_slot_generation'))
    )
    op.create_index(op.f('ix_dead_letters_state'), 'dead_letters', ['state'], unique=False)
    op.create_table('inbox_files',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('signature', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_inbox_files_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'path', name=op.f('pk_inbox_files'))
    )
    op.create_table('releases',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('revision', sa.Integer(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('manifest_blob', sa.String(length=255), nullable=False),
    sa.Column('released_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_releases_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'revision', name=op.f('pk_releases'))
    )
    op.create_table('uploads',
    sa.Column('upload_id', sa.String(length=32), nullable=False),
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=True),
    sa.Column('status', sa.String(length=8), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('blob_key', sa.String(length=255), nullable=False),
    sa.Column('received_at', sa.DateTime(), nullable=False),
    sa.Column('correlation_id', sa.String(length=36), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_uploads_batch_id')),
    sa.PrimaryKeyConstraint('upload_id', name=op.f('pk_uploads')),
    sa.UniqueConstraint('batch_id', 'path', 'version', name=op.f('uq_uploads_batch_id_path_version'))
    )
    op.create_index(op.f('ix_uploads_batch_id_sha256'), 'uploads', ['batch_id', 'sha256'], unique=False)
    op.create_index(op.f('ix_uploads_received_at'), 'uploads', ['received_at'], unique=False)
    op.create_table('waivers',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('waived_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_waivers_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'slot', name=op.f('pk_waivers'))
    )
    op.create_table('essays',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=False),
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('upload_id', sa.String(length=32), nullable=False),
    sa.Column('pending', sa.Boolean(), nullable=False),
    sa.Column('due', sa.Boolean(), nullable=False),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('generation', sa.Integer(), server_default='0', nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_essays_batch_id')),
    sa.ForeignKeyConstraint(['upload_id'], ['uploads.upload_id'], name=op.f('fk_essays_upload_id')),
    sa.PrimaryKeyConstraint('batch_id', 'slot', name=op.f('pk_essays')),
    sa.UniqueConstraint('batch_id', 'path', name=op.f('uq_essays_batch_id_path'))
    )
    op.create_index(op.f('ix_essays_due_batch_id'), 'essays', ['due', 'batch_id'], unique=False)
    op.create_table('stage_outcomes',
    sa.Column('outcome_id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=False),
    sa.Column('stage', sa.String(length=32), nullable=False),
    sa.Column('materialization_key', sa.String(length=64), nullable=False),
    sa.Column('upload_id', sa.String(length=32), nullable=False),
    sa.Column('code_version', sa.String(length=255), nullable=False),
    sa.Column('outcome', sa.String(length=16), nullable=False),
    sa.Column('code', sa.String(length=32), nullable=True),
    sa.Column('transient', sa.Boolean(), nullable=False),
    sa.Column('data_version', sa.String(length=64), nullable=False),
    sa.Column('blob_key', sa.String(length=255), nullable=True),
    sa.Column('details', sa.JSON(), nullable=False),
    sa.Column('duration_ms', sa.Integer(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_stage_outcomes_batch_id')),
    sa.ForeignKeyConstraint(['upload_id'], ['uploads.upload_id'], name=op.f('fk_stage_outcomes_upload_id')),
    sa.PrimaryKeyConstraint('outcome_id', name=op.f('pk_stage_outcomes')),
    sa.UniqueConstraint('batch_id', 'slot', 'stage', 'materialization_key', name=op.f('uq_stage_outcomes_batch_id_slot_stage_materialization_key'))
    )
    op.create_index(op.f('ix_stage_outcomes_recorded_at'), 'stage_outcomes', ['recorded_at'], unique=False)
    op.create_table('current_outcomes',
    sa.Column('batch_id', sa.String(length=63), nullable=False),
    sa.Column('slot', sa.String(length=4), nullable=False),
    sa.Column('stage', sa.String(length=32), nullable=False),
    sa.Column('outcome_id', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['batches.batch_id'], name=op.f('fk_current_outcomes_batch_id')),
    sa.ForeignKeyConstraint(['outcome_id'], ['stage_outcomes.outcome_id'], name=op.f('fk_current_outcomes_outcome_id')),
    sa.PrimaryKeyConstraint('batch_id', 'slot', 'stage', name=op.f('pk_current_outcomes'))
    )

