"""Transcripts: the messages of sessions, and the index that `search` asks.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")
json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# SQLite's index takes every character but letters and digits for a gap. PostgreSQL's parser would
# keep addresses, paths and numbers whole, so they are taken apart for it.
SIGNS = "!\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~"
WORDS = f"""
ALTER TABLE session_messages ADD COLUMN words tsvector GENERATED ALWAYS AS (
    to_tsvector(
        'pg_catalog.simple',
        translate(coalesce(search_text, content), '{SIGNS}', repeat(' ', 32))
    )
) STORED
"""

# No copy of the text. By triggers, so that whoever deletes a message takes it out of the index.
SEARCH = """
CREATE VIRTUAL TABLE message_search USING fts5(
    text, content='', tokenize='unicode61 remove_diacritics 0'
)
"""
ADD = "INSERT INTO message_search (rowid, text) "
ADD += "VALUES (new.number, coalesce(new.search_text, new.content));"
DROP = "INSERT INTO message_search (message_search, rowid, text) "
DROP += "VALUES ('delete', old.number, coalesce(old.search_text, old.content));"
TRIGGERS = {"INSERT": ADD, "DELETE": DROP, "UPDATE": f"{DROP} {ADD}"}


def upgrade() -> None:
    op.create_table(
        "transcripts",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.Column("retrieved_at", instant, nullable=True),
        sa.Column("messages", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("retry_at", instant, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_transcripts_session_id")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_transcripts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "session_messages",
        sa.Column("number", whole, nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("created_at", instant, nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("parts", json, nullable=True),
        sa.Column("extra", json, nullable=True),
        sa.Column("search_text", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_session_messages_session_id")
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_session_messages")),
        sa.UniqueConstraint(
            "session_id", "position", name=op.f("uq_session_messages_session_id_position")
        ),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text(WORDS.replace(":", "\\:")))
        op.create_index(
            op.f("ix_session_messages_words"),
            "session_messages",
            ["words"],
            postgresql_using="gin",
        )
    elif has_fts5():
        op.execute(SEARCH)
        for event, body in TRIGGERS.items():
            name = f"session_messages_{event.lower()}"
            op.execute(f"CREATE TRIGGER {name} AFTER {event} ON session_messages BEGIN {body} END")


def has_fts5() -> bool:
    """Whether this SQLite can search. One that can't stores transcripts all the same."""
    modules = "SELECT 1 FROM pragma_module_list WHERE name = 'fts5'"
    return op.get_bind().exec_driver_sql(modules).first() is not None


def downgrade() -> None:
    op.drop_table("session_messages")
    op.drop_table("transcripts")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE IF EXISTS message_search")
