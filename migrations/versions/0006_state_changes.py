"""The first state of a session is told by its own row; only changes are rows of their own.

Half of all writes of a first backfill were rows of first states, scattered by their random ids.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

whole = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

PARTS = {
    "sqlite": {
        "seconds": "(strftime('%s', substr({1}, 1, 19)) - strftime('%s', substr({0}, 1, 19))"
        " + (substr({1}, 21) - substr({0}, 21)) / 1000000.0)",
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    },
    "postgresql": {
        "seconds": "CAST(extract(epoch FROM {1} - {0}) AS double precision)",
        "now": "now()",
    },
}

STATES = """
CREATE VIEW session_states AS
SELECT session_id, state, observed_at, run_id FROM state_changes
UNION ALL
SELECT id, state, first_seen_at, first_run_id FROM sessions WHERE first_run_id IS NOT NULL"""

OPEN = """
CREATE VIEW open_sessions AS
SELECT s.id AS session_id, s.agent_id, s.creator_id, s.name, s.type, s.state, s.created_at,
    {age} AS age_seconds,
    {observed_at} AS state_observed_at,
    f.state_confirmed_at, s.credit_cost
FROM sessions s
JOIN session_freshness f ON f.session_id = s.id
WHERE (s.state IS NULL OR NOT s.state IN ('completed', 'failed')) AND s.missing_since IS NULL"""

CHANGED = "(SELECT max(observed_at) FROM {states} WHERE session_id = s.id)"

# Two arms, each a join of its own: a filter on the agent reaches the index on sessions in both.
SPANS = """
CREATE VIEW state_spans AS
SELECT session_id, agent_id, state, observed_from, observed_until, {observed} AS seconds, is_last
FROM (
    SELECT x.session_id, s.agent_id, x.state, x.observed_at AS observed_from,
        coalesce(x.next_at, f.state_confirmed_at) AS observed_until, x.next_at IS NULL AS is_last
    FROM (
        SELECT session_id, state, observed_at, (
            SELECT min(observed_at) FROM {states} later
            WHERE later.session_id = here.session_id AND later.observed_at > here.observed_at
        ) AS next_at
        FROM {states} here
    ) x
    JOIN sessions s ON s.id = x.session_id
    JOIN session_freshness f ON f.session_id = x.session_id{first}
) spans"""

FIRST = """
    UNION ALL
    SELECT s.id, s.agent_id, s.state, s.first_seen_at, f.state_confirmed_at, TRUE
    FROM sessions s
    JOIN session_freshness f ON f.session_id = s.id
    WHERE s.first_run_id IS NOT NULL"""


def upgrade() -> None:
    drop_views()
    rename("session_states", "state_changes")
    op.add_column("sessions", sa.Column("first_run_id", whole, nullable=True))
    op.execute(STATES)
    create_views("state_changes", f"coalesce({CHANGED}, s.first_seen_at)", FIRST)


def downgrade() -> None:
    drop_views()
    op.execute("DROP VIEW session_states")
    op.execute(
        "INSERT INTO state_changes (session_id, state, observed_at, run_id)"
        " SELECT id, state, first_seen_at, first_run_id FROM sessions"
        " WHERE first_run_id IS NOT NULL"
    )
    op.drop_column("sessions", "first_run_id")
    rename("state_changes", "session_states")
    create_views("session_states", CHANGED, "")


def drop_views() -> None:
    op.execute("DROP VIEW state_spans")
    op.execute("DROP VIEW open_sessions")


def create_views(states: str, observed_at: str, first: str) -> None:
    parts = PARTS[op.get_bind().dialect.name]
    age = parts["seconds"].format("s.created_at", parts["now"])
    observed = parts["seconds"].format("observed_from", "observed_until")
    made = OPEN.format(age=age, observed_at=observed_at.format(states=states))
    op.execute(sa.text(made.replace(":", r"\:")))
    op.execute(SPANS.format(states=states, observed=observed, first=first))


def rename(old: str, new: str) -> None:
    op.rename_table(old, new)
    if op.get_bind().dialect.name == "postgresql":
        for name in ("pk_{}", "fk_{}_session_id"):
            op.execute(
                f"ALTER TABLE {new} RENAME CONSTRAINT {name.format(old)} TO {name.format(new)}"
            )
