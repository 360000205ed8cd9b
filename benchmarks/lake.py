"""`lake` on a million sessions: the first run, one over nothing, one after 1,000 changes.

    python -m benchmarks.lake [--sessions N] [--database sqlite|postgres]

Each run is a process of its own; its CPU time and largest memory are the kernel's.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from sqlalchemy import text

from etl.clock import utc_now
from etl.store.schema import migrate
from etl.store.store import Store
from tests.support.postgres import cluster

CHANGES = 1000
DAYS = 1095
NAMED = "'2026-01-01 00:00:00.000000'"

NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})",
    "postgresql": "WITH n(i) AS (SELECT generate_series(CAST(0 AS bigint), {last}))",
}
PARTS = {
    "sqlite": {
        "id": "lower(hex(randomblob(10)))",
        "at": "strftime('%Y-%m-%d %H:%M:%f000', '2023-12-01', (i * {step}) || ' seconds')",
    },
    "postgresql": {
        "id": "substr(md5(i::text), 1, 20)",
        "at": "timestamptz '2023-12-01 00:00:00+00' + i * {step} * interval '1 second'",
    },
}
SESSIONS = """
INSERT INTO sessions (id, agent_id, creator_id, name, type, state, created_at, credit_cost,
    input_tokens, output_tokens, first_seen_at, updated_at, as_of, first_run_id)
{numbers} SELECT 'sess_' || {id}, 'agent_' || (i % 2), 'user_' || (i % 500),
    'Session about ' || (i * 7919 % 1000003) || ' things', 'api',
    CASE i % 9 WHEN 0 THEN 'failed' ELSE 'completed' END, {at}, (i % 2003) / 100.0,
    i % 100003, i % 10007, {at}, {at}, {at}, 1 FROM n
"""
AGENTS = (
    f"INSERT INTO agents (id, first_seen_at, updated_at) VALUES ('agent_{{}}', {NAMED}, {NAMED})"
)
CREATORS = f"""
INSERT INTO creators (id, last_name, first_seen_at, updated_at, as_of)
{{numbers}} SELECT 'user_' || i, 'Name ' || i, {NAMED}, {NAMED}, {NAMED} FROM n
"""
CHANGE = """
UPDATE sessions SET credit_cost = credit_cost + 1, state = 'failed'
WHERE id IN (SELECT id FROM sessions ORDER BY {id} LIMIT {changes})
"""


def fill(store: Store, sessions: int) -> None:
    """Three years of sessions of two agents and 500 people."""
    dialect = store.engine.dialect.name
    numbers = NUMBERS[dialect]
    step = DAYS * 86_400 / sessions
    parts = {name: part.format(step=step) for name, part in PARTS[dialect].items()}
    creators = CREATORS.format(numbers=numbers.format(last=499))
    if dialect == "postgresql":
        creators = creators.replace(NAMED, f"timestamptz {NAMED}")
    with store.engine.begin() as connection:
        statements = [AGENTS.format(0), AGENTS.format(1), creators]
        statements.append(SESSIONS.format(numbers=numbers.format(last=sessions - 1), **parts))
        for statement in statements:
            if dialect == "postgresql":
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.execute(text(statement.replace(":", r"\:")))


def change(store: Store) -> None:
    """A thousand rows anywhere in history."""
    digest = "md5(id)" if store.engine.dialect.name == "postgresql" else "substr(id, 7, 9)"
    with store.engine.begin() as connection:
        connection.execute(text(CHANGE.format(id=digest, changes=CHANGES)))


def measure(url: str, lake: Path) -> dict[str, float]:
    """One run of the command as a process: seconds, seconds of CPU, MB."""
    began = time.monotonic()
    words = [sys.executable, "-m", "etl", "lake", str(lake), "--json"]
    env = os.environ | {"ETL_DATABASE__URL": url, "ETL_AGENTS": "agent_0"}
    process = subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    tables = json.loads(process.stdout.read())["tables"]
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu": round(_cpu(used), 1),
        "mb": used.ru_maxrss // 1024,
        "changed": sum(one["inserted"] + one["updated"] + one["deleted"] for one in tables),
    }


def _cpu(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def scan(lake: Path) -> dict[str, float]:
    """Files, their size, and how long DuckDB takes for a month and for all."""
    table = DeltaTable(lake / "sessions")
    sizes = [file["size_bytes"] for file in pa.table(table.get_add_actions(True)).to_pylist()]
    found: dict[str, float] = {"files": len(sizes), "mb": round(sum(sizes) / 1e6, 1)}
    sessions = table.to_pyarrow_dataset()
    with duckdb.connect() as connection:
        connection.register("sessions", sessions)
        for name, where in {"month": "WHERE month = '2025-05'", "all": ""}.items():
            began = time.monotonic()
            query = "SELECT agent_id, count(*), sum(credit_cost) FROM sessions {} GROUP BY 1"
            connection.sql(query.format(where)).fetchall()
            found[name] = round(time.monotonic() - began, 3)
    return found


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty database."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    with cluster(in_memory=False) as running:
        yield running.fresh()


def main() -> None:
    """Measure, and print a line a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, database(args.database, Path(name)) as url:
        lake = Path(name) / "lake"
        with Store(url, utc_now) as store:
            migrate.upgrade(store.engine)
            fill(store, args.sessions)
            print("first", measure(url, lake), flush=True)
            print("nothing", measure(url, lake), flush=True)
            change(store)
            print(f"{CHANGES} changes", measure(url, lake), flush=True)
        print("read", scan(lake))


if __name__ == "__main__":
    main()
