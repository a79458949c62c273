"""Indexes of the moments that an audit asks for; outcomes, uploads and events have theirs."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:

    for table, column in (
        ("batches", "registered_at"),
        ("dead_letters", "created_at"),
        ("dead_letters", "resolved_at"),
        ("releases", "released_at"),
    ):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column], unique=False)
