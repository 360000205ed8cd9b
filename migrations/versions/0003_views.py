"""Views for analysts, on a calendar that knows a time zone's days.

Revision ID: 0003
Revises: 0002
"""

from datetime import date

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

instant = sa.String(26).with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql")

FIRST_DAY, LAST_DAY = date(2020, 1, 1), date(2039, 12, 31)

# What the two databases write differently. Days before `around` and after lie a day further out
# than any time zone can carry an instant. SQLite would round .9999995 seconds up: `substr`.
PARTS = {
    "sqlite": {
        "day_before": "coalesce(date({0}, '-1 day'), '0000-01-01')",
        "day_after": "coalesce(date({0}, '+1 day'), '9999-12-31')",
        "hour": "CAST(strftime('%H', substr(s.created_at, 1, 19),"
        " c.offset_minutes || ' minutes') AS integer)",
        "seconds": "(strftime('%s', substr({1}, 1, 19)) - strftime('%s', substr({0}, 1, 19))"
        " + (substr({1}, 21) - substr({0}, 21)) / 1000000.0)",
        "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    },
    "postgresql": {
        "day_before": "CAST({0} AT TIME ZONE 'UTC' AS date) - 1",
        "day_after": "CAST({0} AT TIME ZONE 'UTC' AS date) + 1",
        "hour": "CAST(extract(hour FROM (s.created_at AT TIME ZONE 'UTC')"
        " + c.offset_minutes * interval '1 minute') AS integer)",
        "seconds": "CAST(extract(epoch FROM {1} - {0}) AS double precision)",
        "now": "now()",
    },
}

# Days lead, sessions follow by their index on (agent_id, created_at): a filter on the day reads
# those days alone. Neither database would choose that order from its estimates, so it is forced.
SESSION_DAYS = {
    "sqlite": """
FROM agents a
CROSS JOIN calendar c
CROSS JOIN sessions s
WHERE {calendar} AND {within}
""",
    "postgresql": """
FROM agents a
CROSS JOIN calendar c
CROSS JOIN LATERAL (SELECT * FROM sessions s WHERE {within} OFFSET 0) s
WHERE {calendar}
""",
}
ZONE = "time_zone = (SELECT time_zone FROM report_settings)"
CALENDAR = """c.{zone}
    AND c.day >= {day_before}
    AND c.day <= {day_after}"""
FIRST = "(SELECT min(created_at) FROM sessions WHERE agent_id = a.id)"
LAST = "(SELECT max(created_at) FROM sessions WHERE agent_id = a.id)"
WITHIN = "s.agent_id = a.id AND s.created_at >= c.from_utc AND s.created_at < c.until_utc"
DATED = """created_at >= (SELECT min(from_utc) FROM calendar WHERE {zone})
    AND created_at < (SELECT max(until_utc) FROM calendar WHERE {zone})"""

CREDITS = ("credit_cost", "tool_credit_cost", "flow_credit_cost")
TOKENS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
)
# One absurd count must not end every query: PostgreSQL's sum is numeric and has no end, SQLite's
# would be an error beyond 64 bits. In halves it is exact, and beyond 64 bits floating point.
SUM = {
    "sqlite": "sum({0} >> 32) * 4294967296 + sum({0} & 4294967295) AS {0}",
    "postgresql": "sum({0}) AS {0}",
}
STATES = """count(*) AS sessions,
    count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
    count(CASE WHEN state = 'failed' THEN 1 END) AS failed"""

VIEWS = {
    "session_days": """
SELECT s.id AS session_id, a.id AS agent_id, s.creator_id, s.name, s.type, s.state, s.created_at,
    c.day, c.week, c.month, c.weekday, {hour} AS hour,
    s.credit_cost, s.tool_credit_cost, s.flow_credit_cost,
    s.input_tokens, s.cached_input_tokens, s.cache_write_input_tokens,
    s.output_tokens, s.reasoning_tokens, s.missing_since
{session_days}""",
    "agent_days": """
SELECT agent_id, day, {states},
    {usage}
FROM session_days
GROUP BY agent_id, day""",
    "agent_weeks": """
SELECT agent_id, week, {states},
    CAST(count(CASE WHEN state = 'failed' THEN 1 END) AS double precision)
        / nullif(count(CASE WHEN state IN ('completed', 'failed') THEN 1 END), 0) AS failure_rate,
    sum(credit_cost) AS credit_cost,
    sum(CASE WHEN state = 'failed' THEN credit_cost END) AS failed_credit_cost
FROM session_days
GROUP BY agent_id, week""",
    "hours_of_week": """
SELECT agent_id, week, weekday, hour, {states},
    sum(credit_cost) AS credit_cost
FROM session_days
GROUP BY agent_id, week, weekday, hour""",
    "creator_months": """
SELECT agent_id, creator_id, month, {states},
    {usage}
FROM session_days
GROUP BY agent_id, creator_id, month""",
    "active_creators": """
SELECT agent_id, month, count(*) AS creators,
    count(CASE WHEN month = first_month THEN 1 END) AS new_creators,
    count(CASE WHEN month > first_month THEN 1 END) AS returning_creators
FROM (
    SELECT agent_id, month, min(month) OVER (PARTITION BY agent_id, creator_id) AS first_month
    FROM (
        SELECT DISTINCT agent_id, creator_id, month FROM session_days WHERE creator_id IS NOT NULL
    ) seen
) dated
GROUP BY agent_id, month""",
    "type_states": """
SELECT agent_id, type, state, count(*) AS sessions,
    count(*) - count(CASE WHEN {dated} THEN 1 END) AS undated, count(missing_since) AS missing,
    {usage}
FROM sessions
GROUP BY agent_id, type, state""",
    "open_sessions": """
SELECT s.id AS session_id, s.agent_id, s.creator_id, s.name, s.type, s.state, s.created_at,
    {age} AS age_seconds,
    (SELECT max(observed_at) FROM session_states WHERE session_id = s.id) AS state_observed_at,
    f.state_confirmed_at, s.credit_cost
FROM sessions s
JOIN session_freshness f ON f.session_id = s.id
WHERE (s.state IS NULL OR NOT s.state IN ('completed', 'failed')) AND s.missing_since IS NULL""",
    "state_spans": """
SELECT session_id, agent_id, state, observed_from, observed_until, {observed} AS seconds, is_last
FROM (
    SELECT x.session_id, s.agent_id, x.state, x.observed_at AS observed_from,
        coalesce(x.next_at, f.state_confirmed_at) AS observed_until, x.next_at IS NULL AS is_last
    FROM (
        SELECT session_id, state, observed_at, (
            SELECT min(observed_at) FROM session_states later
            WHERE later.session_id = here.session_id AND later.observed_at > here.observed_at
        ) AS next_at
        FROM session_states here
    ) x
    JOIN sessions s ON s.id = x.session_id
    JOIN session_freshness f ON f.session_id = x.session_id
) spans""",
}


def view(name: str, dialect: str) -> str:
    parts = PARTS[dialect]
    days = SESSION_DAYS[dialect].format(
        calendar=CALENDAR.format(
            zone=ZONE,
            day_before=parts["day_before"].format(FIRST),
            day_after=parts["day_after"].format(LAST),
        ),
        within=WITHIN,
    )
    sums = [f"sum({name}) AS {name}" for name in CREDITS]
    usage = ",\n    ".join(sums + [SUM[dialect].format(name) for name in TOKENS])
    return f"CREATE VIEW {name} AS" + VIEWS[name].format(
        session_days=days,
        hour=parts["hour"],
        age=parts["seconds"].format("s.created_at", parts["now"]),
        observed=parts["seconds"].format("observed_from", "observed_until"),
        dated=DATED.format(zone=ZONE),
        usage=usage,
        states=STATES,
    )


# Days of UTC, worked out by the database: a row each from Python took a tenth of a first run.
DAYS = {
    "sqlite": """
WITH RECURSIVE days(day) AS (
    SELECT '{first}' UNION ALL SELECT date(day, '+1 day') FROM days WHERE day < '{last}'
)
INSERT INTO calendar SELECT 'UTC', day, day || '{midnight}', date(day, '+1 day') || '{midnight}', 0,
    date(day, 'weekday 0', '-6 days'), date(day, 'start of month'),
    (strftime('%w', day) + 6) % 7 + 1
FROM days""",
    "postgresql": """
INSERT INTO calendar SELECT 'UTC', day, day AT TIME ZONE 'UTC',
    (day + interval '1 day') AT TIME ZONE 'UTC', 0,
    date_trunc('week', day), date_trunc('month', day), extract(isodow FROM day)
FROM generate_series(timestamp '{first}', timestamp '{last}', interval '1 day') day""",
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "calendar",
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("from_utc", instant, nullable=False),
        sa.Column("until_utc", instant, nullable=False),
        sa.Column("offset_minutes", sa.Integer(), nullable=False),
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("weekday", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("time_zone", "day", "from_utc", name=op.f("pk_calendar")),
        sqlite_with_rowid=False,
    )
    days = DAYS[dialect].format(first=FIRST_DAY, last=LAST_DAY, midnight=" 00:00:00.000000")
    op.get_bind().exec_driver_sql(days)
    settings = op.create_table(
        "report_settings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_report_settings_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_settings")),
    )
    op.bulk_insert(settings, [{"id": 1, "time_zone": "UTC"}])
    for name in VIEWS:
        op.execute(sa.text(view(name, dialect).replace(":", r"\:")))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW {name}")
    op.drop_table("report_settings")
    op.drop_table("calendar")
