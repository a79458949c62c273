"""Essays that somebody asked to have worked over again."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.add_column('essays', sa.Column('reprocess', sa.Integer(), nullable=True))
