"""When a scheduler syncs each agent next, and which one.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.add_column("sync_state", sa.Column("next_run_at", instant, nullable=True))
    op.add_column("sync_state", sa.Column("scheduled_by", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("sync_state", "scheduled_by")
    op.drop_column("sync_state", "next_run_at")
