"""An id of the database's own, and how far each lake is that it feeds.

Revision ID: 0008
Revises: 0007
"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")


def upgrade() -> None:
    identity = op.create_table(
        "database_identity",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_database_identity_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_database_identity")),
    )
    op.bulk_insert(identity, [{"id": 1, "uuid": str(uuid.uuid4())}])
    op.create_table(
        "lakes",
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("as_of", instant, nullable=True),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("failed_at", instant, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_lakes")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("lakes")
    op.drop_table("database_identity")
