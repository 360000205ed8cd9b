"""What one writes in an afternoon: the official SDK and a database driver, agent after agent.

It reads newest first and, from the second run on, stops an hour below the newest session that is
stored. One transaction a page.

    python benchmarks/sdk_script.py BASE_URL DATABASE_URL AGENT...
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from gumloop import Gumloop

LOOKBACK = timedelta(hours=1)
COLUMNS = (
    "id", "agent_id", "creator_id", "name", "type", "state", "created_at", "credit_cost",
    "input_tokens", "output_tokens",
)  # fmt: skip
TABLE = (
    "CREATE TABLE IF NOT EXISTS sessions (id text PRIMARY KEY, agent_id text, creator_id text, "
    "name text, type text, state text, created_at {time}, credit_cost {number}, "
    "input_tokens bigint, output_tokens bigint)"
)
UPSERT = (
    "INSERT INTO sessions ({columns}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {sets}"
).format(
    columns=", ".join(COLUMNS),
    marks="{marks}",
    sets=", ".join(f"{name}=excluded.{name}" for name in COLUMNS[1:]),
)


class Database:
    def __init__(self, url: str) -> None:
        if url.startswith("sqlite"):
            import sqlite3

            self.mark, types = "?", {"time": "text", "number": "real"}
            self.connection: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
            self.connection.execute("PRAGMA journal_mode=WAL")
            self.connection.execute("PRAGMA synchronous=NORMAL")
        else:
            import psycopg

            self.mark, types = "%s", {"time": "timestamptz", "number": "numeric"}
            self.connection = psycopg.connect(url)
        self.connection.execute(TABLE.format(**types))
        self.connection.commit()

    def save(self, rows: list[tuple[Any, ...]]) -> None:
        sql = UPSERT.format(marks=", ".join([self.mark] * len(COLUMNS)))
        self.connection.cursor().executemany(sql, rows)
        self.connection.commit()

    def newest(self, agent: str) -> datetime | None:
        sql = f"SELECT max(created_at) FROM sessions WHERE agent_id = {self.mark}"
        (found,) = self.connection.execute(sql, (agent,)).fetchone()
        return instant(found) if isinstance(found, str) else found


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def row(session: Any) -> tuple[Any, ...]:
    usage, creator = session.usage, session.creator
    return (
        session.id, session.agent_id, creator and creator.id, session.name, session.type,
        session.state, session.created_at, usage and usage.credit_cost,
        usage and usage.input_tokens, usage and usage.output_tokens,
    )  # fmt: skip


def copy(client: Gumloop, database: Database, agent: str) -> None:
    newest, cursor = database.newest(agent), None
    while True:
        page = client.sessions.list(agent, page_size=100, sort_order="newest", cursor=cursor)
        database.save([row(session) for session in page.sessions])
        cursor = page.next_cursor
        if not cursor:
            return
        oldest = page.sessions[-1].created_at
        if newest and oldest and instant(oldest) < newest - LOOKBACK:
            return


def main(base: str, url: str, agents: list[str]) -> None:
    database = Database(url)
    with Gumloop(base_url=base) as client:
        for agent in agents:
            copy(client, database, agent)


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
    else:
        main(sys.argv[1], sys.argv[2], sys.argv[3:])
