"""The floor: fetch with httpx, parse with orjson, write the rows with a raw `executemany`.

One chain per agent, all agents at once, one transaction a page; no checkpoint, no comparison with
what is stored, no history, no check of anything. What a sync job costs beyond this is what it does
more. With `none` as the database it fetches and parses only.

    python benchmarks/floor.py BASE_URL DATABASE_URL AGENT...
"""

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import orjson

COLUMNS = (
    "id, agent_id, creator_id, name, type, state, created_at, credit_cost, input_tokens, "
    "output_tokens, extra, seen_at"
)
TABLE = (
    "CREATE TABLE IF NOT EXISTS sessions (id text PRIMARY KEY, agent_id text, creator_id text, "
    "name text, type text, state text, created_at {time}, credit_cost {number}, "
    "input_tokens bigint, output_tokens bigint, extra {json}, seen_at {time})"
)
UPSERT = (
    f"INSERT INTO sessions ({COLUMNS}) VALUES ({{marks}}) ON CONFLICT (id) DO UPDATE SET "
    "state=excluded.state, name=excluded.name, credit_cost=excluded.credit_cost, "
    "input_tokens=excluded.input_tokens"
)
Save = Callable[[list[tuple[Any, ...]]], None]


async def fetch(client: httpx.AsyncClient, agent: str, save: Save) -> None:
    path = f"/agents/{quote(agent, safe='')}/sessions"
    query = {"page_size": "100", "sort_order": "newest"}
    while True:
        page = orjson.loads((await client.get(path, params=query)).content)
        save([row(record) for record in page["sessions"]])
        if not page["next_cursor"]:
            return
        query["cursor"] = page["next_cursor"]


def row(record: dict[str, Any]) -> tuple[Any, ...]:
    usage, creator = record.get("usage") or {}, record.get("creator") or {}
    return (
        record["id"], record["agent_id"], creator.get("id"), record["name"], record["type"],
        record["state"], record["created_at"], usage.get("credit_cost"),
        usage.get("input_tokens"), usage.get("output_tokens"), None, "2026-01-01 00:00:00",
    )  # fmt: skip


def sqlite(url: str) -> Save:
    import sqlite3

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(TABLE.format(time="text", number="real", json="text"))
    sql = UPSERT.format(marks=",".join("?" * 12))

    def save(rows: list[tuple[Any, ...]]) -> None:
        connection.executemany(sql, rows)
        connection.commit()

    return save


def postgres(url: str) -> Save:
    import psycopg

    connection = psycopg.connect(url)
    connection.execute(TABLE.format(time="timestamptz", number="numeric", json="jsonb"))
    connection.commit()
    sql = UPSERT.format(marks=",".join(["%s"] * 12))

    def save(rows: list[tuple[Any, ...]]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)
        connection.commit()

    return save


def opened(url: str) -> Save:
    if url == "none":
        return lambda _rows: None
    return (sqlite if url.startswith("sqlite") else postgres)(url)


async def main(base: str, url: str, agents: list[str]) -> None:
    save = opened(url)
    headers = {"authorization": f"Bearer {os.environ['GUMLOOP_ACCESS_TOKEN']}"}
    most = httpx.Limits(max_connections=16, max_keepalive_connections=16)
    async with httpx.AsyncClient(base_url=base, headers=headers, limits=most, timeout=60) as client:
        await asyncio.gather(*(fetch(client, agent, save) for agent in agents))


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
    else:
        asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
