"""The tables. `docs/schema.md` tells what each column means to those who write SQL.

Times are UTC. In SQLite they are the text `YYYY-MM-DD HH:MM:SS.ffffff`, which `datetime()` reads
and which sorts as time; in PostgreSQL they are `timestamptz`.
"""

import re
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    column,
    or_,
    table,
)

from etl.models import SETTLED_STATES
from etl.store.schema.column_types import Instant, Json, Whole

SEARCH_INDEX: Final = re.compile(r"message_search\w*|words|ix_session_messages_words")
"""Names of the search index: tables in SQLite, a column in PostgreSQL, and so not `metadata`'s."""


metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

agents = Table(
    "agents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text),
    Column("team_id", Text),
    Column("first_seen_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

creators = Table(
    "creators",
    metadata,
    Column("id", Text, primary_key=True),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("email", Text),
    Column("profile_picture", Text),
    Column("first_seen_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("as_of", Instant, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("creator_id", Text, ForeignKey("creators.id")),
    Column("name", Text),
    Column("type", Text),
    Column("state", Text),
    Column("created_at", Instant),
    Column("credit_cost", Numeric(asdecimal=False)),
    Column("tool_credit_cost", Numeric(asdecimal=False)),
    Column("flow_credit_cost", Numeric(asdecimal=False)),
    Column("input_tokens", BigInteger),
    Column("cached_input_tokens", BigInteger),
    Column("cache_write_input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("reasoning_tokens", BigInteger),
    Column("extra", Json),
    Column("first_seen_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("missing_since", Instant),
    Column("as_of", Instant, nullable=False),
    Column("first_run_id", Whole),
    Index(None, "agent_id", "created_at"),
)
# Partial: of sessions that are open, see migration 0001. To say so here would load PostgreSQL's
# dialect with all of its drivers: 40 ms that SQLite can spare.
Index("ix_sessions_open", sessions.c.agent_id)

_settled: Any = bindparam("settled", SETTLED_STATES, expanding=True, literal_execute=True)
IS_OPEN: Final = or_(sessions.c.state.is_(None), sessions.c.state.not_in(_settled))
"""Whether a session is open, in words that lead databases to that index: no parameter may do so."""

state_changes = Table(
    "state_changes",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False),
    Column("state", Text),
    Column("observed_at", Instant, nullable=False),
    # No foreign key: without an index, each run that is deleted would have to look through it all.
    Column("run_id", Whole),
    PrimaryKeyConstraint("session_id", "observed_at"),
    sqlite_with_rowid=False,
)

# A view: what is above, and the first state of each session that has no other.
session_states = table(
    "session_states",
    column("session_id", Text),
    column("state", Text),
    column("observed_at", Instant),
    column("run_id", Whole),
)

sync_state = Table(
    "sync_state",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), primary_key=True),
    Column("watermark", Instant),
    Column("last_cursor", Text),
    Column("last_success_at", Instant),
    Column("last_reconciled_at", Instant),
    Column("history_from", Instant),
    Column("seek_refused_at", Instant),
    Column("demand_mode", Text),
    Column("demand_since", Instant),
    Column("demand_until", Instant),
    Column("demand_started_at", Instant),
    Column("lease_holder", Text),
    Column("lease_expires_at", Instant),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("saves", BigInteger, nullable=False, server_default="0"),
    Column("next_run_at", Instant),
    Column("scheduled_by", Text),
)

coverage = Table(
    "coverage",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("oldest_created_at", Instant),
    Column("newest_created_at", Instant, nullable=False),
    Column("proven_at", Instant),
    Column("below_cursor", Text),
    Column("below_at", Instant),
    Column("above_cursor", Text),
    Column("above_at", Instant),
    PrimaryKeyConstraint("agent_id", "newest_created_at"),
)

bookmarks = Table(
    "bookmarks",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("sort_order", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("cursor", Text, nullable=False),
    PrimaryKeyConstraint("agent_id", "sort_order", "at"),
)

suspects = Table(
    "suspects",
    metadata,
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False),
    Column("suspected_at", Instant, nullable=False),
    PrimaryKeyConstraint("agent_id", "session_id"),
)

retrievals = Table(
    "retrievals",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("retrieved_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("mode", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("requests", BigInteger, nullable=False, server_default="0"),
    Column("pages", BigInteger, nullable=False, server_default="0"),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    Column("inserted", BigInteger, nullable=False, server_default="0"),
    Column("updated", BigInteger, nullable=False, server_default="0"),
    Column("unchanged", BigInteger, nullable=False, server_default="0"),
    Column("rejected", BigInteger, nullable=False, server_default="0"),
    Column("missing", BigInteger, nullable=False, server_default="0"),
    Column("watermark_before", Instant),
    Column("watermark_after", Instant),
    Column("error", Text),
    Index(None, "agent_id", "started_at"),
)

rejected_records = Table(
    "rejected_records",
    metadata,
    Column("id", Whole, primary_key=True),
    Column("agent_id", Text, ForeignKey("agents.id"), nullable=False),
    Column("run_id", Whole, ForeignKey("sync_runs.id")),
    Column("received_at", Instant, nullable=False),
    Column("payload", Text, nullable=False),
    Column("payload_sha256", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("session_id", Text),
    Column("resolved_at", Instant),
    UniqueConstraint("agent_id", "payload_sha256"),
)

calendar = Table(
    "calendar",
    metadata,
    Column("time_zone", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("from_utc", Instant, nullable=False),
    Column("until_utc", Instant, nullable=False),
    Column("offset_minutes", Integer, nullable=False),
    Column("week", Date, nullable=False),
    Column("month", Date, nullable=False),
    Column("weekday", Integer, nullable=False),
    PrimaryKeyConstraint("time_zone", "day", "from_utc"),
    sqlite_with_rowid=False,
)

report_settings = Table(
    "report_settings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time_zone", Text, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

transcripts = Table(
    "transcripts",
    metadata,
    Column("session_id", Text, ForeignKey("sessions.id"), primary_key=True),
    Column("as_of", Instant, nullable=False),
    Column("retrieved_at", Instant),
    Column("messages", BigInteger),
    Column("digest", String(64)),
    Column("retry_at", Instant),
    Column("error", Text),
    sqlite_with_rowid=False,
)

# The number is the row's place in SQLite's search index: one of its own, since VACUUM may change
# a rowid that no column names.
session_messages = Table(
    "session_messages",
    metadata,
    Column("number", Whole, primary_key=True),
    Column("session_id", Text, ForeignKey("sessions.id"), nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("id", Text),
    Column("role", Text),
    Column("content", Text),
    Column("created_at", Instant),
    Column("creator_id", Text),
    Column("parts", Json),
    Column("extra", Json),
    Column("search_text", Text),
    UniqueConstraint("session_id", "position"),
)

privacy = Table(
    "privacy",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rules", Text, nullable=False),
    Column("salt", Text),
    CheckConstraint("id = 1", name="one_row"),
)

forgotten = Table(
    "forgotten",
    metadata,
    Column("pseudonym", String(64), primary_key=True),
    Column("forgotten_at", Instant, nullable=False),
    sqlite_with_rowid=False,
)

forgotten_sessions = Table(
    "forgotten_sessions",
    metadata,
    Column("session_id", Text, primary_key=True),
    sqlite_with_rowid=False,
)

database_identity = Table(
    "database_identity",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(36), nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

lakes = Table(
    "lakes",
    metadata,
    Column("target", Text, primary_key=True),
    Column("as_of", Instant),
    Column("finished_at", Instant),
    Column("failed_at", Instant),
    Column("error", Text),
    sqlite_with_rowid=False,
)
