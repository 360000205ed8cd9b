"""Remember where the server doesn't follow cursors of our own making.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    op.add_column("sync_state", sa.Column("seek_refused_at", instant))


def downgrade() -> None:
    with op.batch_alter_table("sync_state") as batch:
        batch.drop_column("seek_refused_at")
