"""How fresh each row is: retrievals, and the view session_freshness.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

LATEST = {
    "postgresql": "greatest(c.proven_at, r.retrieved_at, s.as_of)",
    "sqlite": "max(coalesce(c.proven_at, ''), coalesce(r.retrieved_at, ''), s.as_of)",
}

VIEW = """
CREATE VIEW session_freshness AS
SELECT
    s.id AS session_id,
    CASE WHEN rejected.session_id IS NULL THEN c.proven_at END AS listed_at,
    CASE WHEN rejected.session_id IS NULL THEN {latest} END AS state_confirmed_at
FROM sessions s
LEFT JOIN coverage c
    ON c.agent_id = s.agent_id
    AND s.created_at < c.newest_created_at
    AND (c.oldest_created_at IS NULL OR s.created_at >= c.oldest_created_at)
LEFT JOIN retrievals r ON r.session_id = s.id
LEFT JOIN (
    SELECT DISTINCT agent_id, session_id FROM rejected_records
    WHERE resolved_at IS NULL AND session_id IS NOT NULL
) rejected ON rejected.agent_id = s.agent_id AND rejected.session_id = s.id
"""


def upgrade() -> None:
    op.create_table(
        "retrievals",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("retrieved_at", instant, nullable=False),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_retrievals_session_id")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_retrievals")),
        sqlite_with_rowid=False,
    )
    op.execute(VIEW.format(latest=LATEST[op.get_bind().dialect.name]))


def downgrade() -> None:
    op.execute("DROP VIEW session_freshness")
    op.drop_table("retrievals")
