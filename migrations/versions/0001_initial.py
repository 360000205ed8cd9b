"""Sessions, creators, and what a sync remembers.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
json = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("team_id", sa.Text(), nullable=True),
        sa.Column("first_seen_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
    )
    op.create_table(
        "creators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=True),
        sa.Column("last_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("profile_picture", sa.Text(), nullable=True),
        sa.Column("first_seen_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creators")),
    )
    op.create_table(
        "bookmarks",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("sort_order", sa.Text(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_bookmarks_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", "sort_order", "at", name=op.f("pk_bookmarks")),
    )
    op.create_table(
        "coverage",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("oldest_created_at", instant, nullable=True),
        sa.Column("newest_created_at", instant, nullable=False),
        sa.Column("proven_at", instant, nullable=True),
        sa.Column("below_cursor", sa.Text(), nullable=True),
        sa.Column("below_at", instant, nullable=True),
        sa.Column("above_cursor", sa.Text(), nullable=True),
        sa.Column("above_at", instant, nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_coverage_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", "newest_created_at", name=op.f("pk_coverage")),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("created_at", instant, nullable=True),
        sa.Column("credit_cost", sa.Numeric(asdecimal=False), nullable=True),
        sa.Column("tool_credit_cost", sa.Numeric(asdecimal=False), nullable=True),
        sa.Column("flow_credit_cost", sa.Numeric(asdecimal=False), nullable=True),
        sa.Column("input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cache_write_input_tokens", sa.BigInteger(), nullable=True),
        sa.Column("output_tokens", sa.BigInteger(), nullable=True),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=True),
        sa.Column("extra", json, nullable=True),
        sa.Column("first_seen_at", instant, nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.Column("missing_since", instant, nullable=True),
        sa.Column("as_of", instant, nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_sessions_agent_id")),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_sessions_creator_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(
        op.f("ix_sessions_agent_id_created_at"),
        "sessions",
        ["agent_id", "created_at"],
        unique=False,
    )
    op.create_index(
        "ix_sessions_open",
        "sessions",
        ["agent_id"],
        unique=False,
        sqlite_where=sa.text("state IS NULL OR NOT state IN ('completed', 'failed')"),
        postgresql_where=sa.text("state IS NULL OR NOT state IN ('completed', 'failed')"),
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", whole, nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("finished_at", instant, nullable=True),
        sa.Column("requests", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("pages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("missing", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("watermark_before", instant, nullable=True),
        sa.Column("watermark_after", instant, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_sync_runs_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
    )
    op.create_index(
        op.f("ix_sync_runs_agent_id_started_at"),
        "sync_runs",
        ["agent_id", "started_at"],
        unique=False,
    )
    op.create_table(
        "sync_state",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("watermark", instant, nullable=True),
        sa.Column("last_cursor", sa.Text(), nullable=True),
        sa.Column("last_success_at", instant, nullable=True),
        sa.Column("last_reconciled_at", instant, nullable=True),
        sa.Column("history_from", instant, nullable=True),
        sa.Column("demand_mode", sa.Text(), nullable=True),
        sa.Column("demand_since", instant, nullable=True),
        sa.Column("demand_until", instant, nullable=True),
        sa.Column("demand_started_at", instant, nullable=True),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column("lease_expires_at", instant, nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("saves", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_sync_state_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", name=op.f("pk_sync_state")),
    )
    op.create_table(
        "rejected_records",
        sa.Column("id", whole, nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("run_id", whole, nullable=True),
        sa.Column("received_at", instant, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("payload_sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("resolved_at", instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_rejected_records_agent_id")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name=op.f("fk_rejected_records_run_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_records")),
        sa.UniqueConstraint(
            "agent_id", "payload_sha256", name=op.f("uq_rejected_records_agent_id_payload_sha256")
        ),
    )
    op.create_table(
        "session_states",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("observed_at", instant, nullable=False),
        sa.Column("run_id", whole, nullable=True),
        sa.ForeignKeyConstraint(
            ["run_id"], ["sync_runs.id"], name=op.f("fk_session_states_run_id")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_session_states_session_id")
        ),
        sa.PrimaryKeyConstraint("session_id", "observed_at", name=op.f("pk_session_states")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "suspects",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("suspected_at", instant, nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_suspects_agent_id")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_suspects_session_id")
        ),
        sa.PrimaryKeyConstraint("agent_id", "session_id", name=op.f("pk_suspects")),
    )


def downgrade() -> None:
    op.drop_table("suspects")
    op.drop_table("session_states")
    op.drop_table("rejected_records")
    op.drop_table("sync_state")
    op.drop_index(op.f("ix_sync_runs_agent_id_started_at"), table_name="sync_runs")
    op.drop_table("sync_runs")
    op.drop_index(
        "ix_sessions_open",
        table_name="sessions",
        sqlite_where=sa.text("state IS NULL OR NOT state IN ('completed', 'failed')"),
        postgresql_where=sa.text("state IS NULL OR NOT state IN ('completed', 'failed')"),
    )
    op.drop_index(op.f("ix_sessions_agent_id_created_at"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_table("coverage")
    op.drop_table("bookmarks")
    op.drop_table("creators")
    op.drop_table("agents")
