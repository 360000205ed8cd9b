"""The parts alone: what etl is made of, and nothing of what it does with them.

An `httpx.Client` a thread, etl's decoder, a raw `executemany` of ten pages a transaction into a
table with etl's columns and index. One chain an agent; no check, no comparison, no creators, no
checkpoint. No tuning of etl's own code can beat it.

    python benchmarks/parts.py BASE_URL DATABASE_URL AGENT...
"""

import os
import sqlite3
import sys
import threading
from typing import Any
from urllib.parse import quote

import httpx

from etl.api.decoding.sessions import decode_page
from etl.models import ABSENT, Session
from etl.store.write.sqlite_upsert import SqliteRows

AT_ONCE = 10
NAMES = Session.__struct_fields__
TABLE = f"CREATE TABLE sessions ({', '.join(NAMES)}, PRIMARY KEY (id))"
INSERT = f"INSERT INTO sessions VALUES ({','.join('?' * len(NAMES))})"


def follow(base: str, agent: str, connection: sqlite3.Connection, turn: threading.Lock) -> None:
    token = os.environ["GUMLOOP_ACCESS_TOKEN"]
    url = f"{base}/agents/{quote(agent, safe='')}/sessions"
    query, pages = {"page_size": "100", "sort_order": "newest"}, 0
    rows: list[tuple[Any, ...]] = []
    with httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
        while True:
            page = decode_page(client.get(url, params=query).content, agent)
            rows += [
                tuple(None if value is ABSENT else value for value in row)
                for row in SqliteRows.make_rows(page.sessions)
            ]
            pages += 1
            if pages % AT_ONCE == 0 or page.next_cursor is None:
                with turn, connection:
                    connection.executemany(INSERT, sorted(rows))
                rows = []
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor


def main(base: str, url: str, *agents: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute(TABLE)
    connection.execute("CREATE INDEX by_agent ON sessions (agent_id, created_at)")
    turn = threading.Lock()
    walks = [
        threading.Thread(target=follow, args=(base, agent, connection, turn)) for agent in agents
    ]
    for walk in walks:
        walk.start()
    for walk in walks:
        walk.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
