"""The journal of who did what. It begins empty: what was done before, nobody noted."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "actions",
        sa.Column("action_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("acted_at", sa.DateTime(), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("actor_id", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("batch_id", sa.String(length=63), nullable=True),
        sa.Column("slot", sa.String(length=5), nullable=True),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.Column("correlation_id", sa.String(length=36), nullable=True),
        sa.Column("token_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_actions")),
    )
    op.create_index(op.f("ix_actions_acted_at"), "actions", ["acted_at"], unique=False)
    op.create_index(op.f("ix_actions_batch_id"), "actions", ["batch_id"], unique=False)
