"""Privacy: the rules that rows were stored by, who was forgotten; runs that may be deleted.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

# Else each run that is deleted would have to look through all states, which have no index by run.
TO_RUNS = "fk_session_states_run_id"
STATES = """
CREATE TABLE states (
    session_id TEXT NOT NULL,
    state TEXT,
    observed_at VARCHAR(26) NOT NULL,
    run_id INTEGER,
    CONSTRAINT pk_session_states PRIMARY KEY (session_id, observed_at),
    CONSTRAINT fk_session_states_session_id FOREIGN KEY(session_id) REFERENCES sessions (id){more}
) WITHOUT ROWID
"""
KEPT = f",\n    CONSTRAINT {TO_RUNS} FOREIGN KEY(run_id) REFERENCES sync_runs (id)"


def upgrade() -> None:
    op.create_table(
        "privacy",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("salt", sa.Text(), nullable=True),
        sa.CheckConstraint("id = 1", name=op.f("ck_privacy_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy")),
    )
    # Whose words are "emails" and "names": rows are stored as they came.
    op.execute("INSERT INTO privacy (id, rules) VALUES (1, 'keep keep -')")
    op.create_table(
        "forgotten",
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("forgotten_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_forgotten")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "forgotten_sessions",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_forgotten_sessions")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(TO_RUNS, "session_states")
    else:
        remake_states("")


def downgrade() -> None:
    op.execute(
        "UPDATE session_states SET run_id = NULL"
        " WHERE run_id IS NOT NULL AND run_id NOT IN (SELECT id FROM sync_runs)"
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_foreign_key(TO_RUNS, "session_states", "sync_runs", ["run_id"], ["id"])
    else:
        remake_states(KEPT)
    op.drop_table("forgotten_sessions")
    op.drop_table("forgotten")
    op.drop_table("privacy")


def remake_states(more: str) -> None:
    """SQLite can't drop a constraint. Renaming must not look into the views on the old table."""
    op.execute("PRAGMA legacy_alter_table=ON")
    op.execute(STATES.format(more=more))
    op.execute(
        "INSERT INTO states SELECT session_id, state, observed_at, run_id FROM session_states"
    )
    op.execute("DROP TABLE session_states")
    op.execute("ALTER TABLE states RENAME TO session_states")
    op.execute("PRAGMA legacy_alter_table=OFF")
