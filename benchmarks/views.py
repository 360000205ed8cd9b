"""`python -m benchmarks.views`: how long the views take on a million sessions, on both databases.

The rows are made by SQL in the database. docs/benchmarks.md has the result of one run.
"""

import argparse
import platform
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from etl.input.time_zones import find_zone
from etl.store.schema import migrate
from etl.store.schema.calendar import set_time_zone
from etl.store.schema.engine import open_engine
from tests.support.postgres import cluster

AGENTS, CREATORS, DAYS = 20, 2000, 730
LAST = 1_795_000_000
"""The newest session begins then (seconds since 1970): in November 2026."""

SERIES = {
    "sqlite": "WITH RECURSIVE series(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM series"
    " WHERE n + 1 < {count}) ",
    "postgresql": "WITH series AS (SELECT generate_series(CAST(0 AS bigint), {count} - 1) AS n) ",
}
INSTANT = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S.000000', {0}, 'unixepoch')",
    "postgresql": "to_timestamp({0})",
}
# Newest first, as a backfill stores them. Agent 0 has half of all sessions.
BEGAN = f"({LAST} - n * {DAYS} / ({{count}} / 86400.0))"
FILL = {
    "agents": "SELECT 'agent ' || n, 'Agent ' || n, {seen}, {seen}",
    "creators": "SELECT 'user_' || n, {seen}, {seen}, {seen}",
    "sessions": """SELECT 'sess_' || (n * 7919 % {count}) || '_' || n,
        'agent ' || CASE WHEN n % 2 = 0 THEN 0 ELSE n / 2 % {agents} END,
        'user_' || (n % 31 * n % {creators}), 'Session ' || n,
        CASE n % 7 WHEN 0 THEN 'api' WHEN 1 THEN 'slack' WHEN 2 THEN 'chat' ELSE 'web' END,
        CASE WHEN n % 1000 = 3 THEN 'idle' WHEN n % 13 = 0 THEN 'failed' ELSE 'completed' END,
        {began}, n % 997 / 16.0, n % 97 / 16.0, n % 89 / 16.0, n % 30011, n % 3001, 0, n % 2003, 0,
        {seen}, {seen}, {seen}, CASE WHEN n % 10 > 0 THEN 1 END""",
    # Every tenth session was seen open first.
    "state_changes": """SELECT 'sess_' || (n / 2 * 10 * 7919 % {count}) || '_' || (n / 2 * 10),
        CASE WHEN n % 2 = 0 THEN 'processing' WHEN n % 26 = 1 THEN 'failed' ELSE 'completed'
        END,
        {seen}""",
}
COLUMNS = {
    "agents": "id, name, first_seen_at, updated_at",
    "creators": "id, first_seen_at, updated_at, as_of",
    "sessions": "id, agent_id, creator_id, name, type, state, created_at, credit_cost,"
    " tool_credit_cost, flow_credit_cost, input_tokens, cached_input_tokens,"
    " cache_write_input_tokens, output_tokens, reasoning_tokens, first_seen_at, updated_at, as_of,"
    " first_run_id",
    "state_changes": "session_id, state, observed_at",
}
NO_FILTER, ONE_AGENT, ONE_MONTH = "", "agent_id = 'agent 3'", "{} >= '2026-10-19'"
QUESTIONS = {
    "agent_days": ("*", "day"),
    "agent_weeks": ("*", "week"),
    "hours_of_week": ("*", "week"),
    "creator_months": ("*", "month"),
    "active_creators": ("*", "month"),
    "type_states": ("*", None),
    "session_days": ("count(*), sum(hour), sum(credit_cost)", "day"),
    "open_sessions": ("*", None),
    "state_spans": ("count(*), sum(seconds)", None),
}


def fill(connection: Connection, count: int) -> None:
    """Make the rows."""
    dialect = connection.dialect.name
    seconds = f"CAST({BEGAN.format(count=count)} AS integer)"
    for table, query in FILL.items():
        rows = {"agents": AGENTS, "creators": CREATORS, "state_changes": count // 5}.get(
            table, count
        )
        select = query.format(
            count=count,
            agents=AGENTS,
            creators=CREATORS,
            began=INSTANT[dialect].format(seconds),
            seen=INSTANT[dialect].format(f"({LAST} + 1000 + n % 2 * 600)"),
        )
        series = SERIES[dialect].format(count=rows)
        connection.exec_driver_sql(
            f"INSERT INTO {table} ({COLUMNS[table]}) {series}{select} FROM series",
            execution_options={"no_parameters": True},  # where % is no placeholder
        )
    connection.exec_driver_sql(
        "INSERT INTO coverage (agent_id, newest_created_at, proven_at) SELECT id,"
        f" {INSTANT[dialect].format(LAST + 1)}, first_seen_at FROM agents"
    )


def seconds(connection: Connection, sql: str) -> float:
    """The quicker of two times."""
    took = []
    for _ in range(2):
        began = time.perf_counter()
        connection.exec_driver_sql(sql).fetchall()
        took.append(time.perf_counter() - began)
    return min(took)


def measure(connection: Connection) -> dict[str, list[str]]:
    """Each view: all of it, one agent of twenty, the last month, and both."""
    found = {}
    for view, (what, by) in QUESTIONS.items():
        month = ONE_MONTH.format(by) if by else None
        both = f"{ONE_AGENT} AND {month}" if month else None
        found[view] = [
            f"{seconds(connection, f'SELECT {what} FROM {view} WHERE {limit}'):.2f}"
            if limit
            else ""
            for limit in ("1 = 1", ONE_AGENT, month, both)
        ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--zone", default="Europe/Berlin")
    options = parser.parse_args()
    tables = {}
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="etl-views-"))
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'views.db'}"}
        urls["PostgreSQL"] = stack.enter_context(cluster(in_memory=False)).fresh()
        for name, url in urls.items():
            engine = open_engine(url)
            migrate.upgrade(engine)
            with engine.begin() as connection:
                fill(connection, options.sessions)
                set_time_zone(connection, find_zone(options.zone))
            with engine.connect() as connection:
                if name == "PostgreSQL":
                    connection.exec_driver_sql("ANALYZE")
                tables[name] = measure(connection)
            engine.dispose()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {options.sessions:,} sessions, {platform.processor()}")
    print("| view | database | all | one agent | one month | both |\n|---|---|---|---|---|---|")
    for view in QUESTIONS:
        for name, table in tables.items():
            print(f"| `{view}` | {name} | {' | '.join(table[view])} |")


if __name__ == "__main__":
    main()
