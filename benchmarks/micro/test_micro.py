"""Decode, diff and upsert, each alone, on pages of the simulator: `make bench` runs it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from etl.api.decoding.sessions import decode_page
from etl.clock import utc_now
from etl.models import Page
from etl.simulator import Simulator, World
from etl.store.runs.runs import start_run
from etl.store.schema import migrate
from etl.store.schema.column_types import format_instant
from etl.store.store import Batch, Store
from etl.store.write.diff import compare_rows
from etl.store.write.responses import Response, Run
from etl.store.write.sqlite_upsert import SqliteRows

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PAGES = 8
"""As many as one transaction saves at most."""


@pytest.fixture(scope="module")
def bodies() -> tuple[str, list[bytes]]:
    """An agent's id and its first pages, as they come over the wire."""
    world = World.generate(agents=1, sessions=100 * PAGES, seed=3, now=NOW)
    agent_id, found = world.agent_ids()[0], []
    query, headers = {"page_size": "100"}, {"Authorization": "Bearer sim-token"}
    with Simulator(world) as simulator, httpx.Client(headers=headers) as client:
        for _ in range(PAGES):
            url = f"{simulator.base_url}/agents/{agent_id}/sessions"
            found.append(client.get(url, params=query).raise_for_status().content)
            query["cursor"] = json.loads(found[-1])["next_cursor"]
    return agent_id, found


@pytest.fixture(scope="module")
def pages(bodies: tuple[str, list[bytes]]) -> list[Page]:
    agent_id, found = bodies
    return [decode_page(body, agent_id) for body in found]


def test_decode_a_page(benchmark: Any, bodies: tuple[str, list[bytes]]) -> None:
    agent_id, found = bodies
    page = benchmark(decode_page, found[0], agent_id)
    assert len(page.sessions) == 100


@pytest.mark.parametrize("kind", ["new", "unchanged", "changed"])
def test_diff_eight_pages(benchmark: Any, pages: list[Page], kind: str) -> None:
    as_of, later = format_instant(NOW), format_instant(datetime(2026, 11, 2, tzinfo=UTC))
    rows = SqliteRows.make_rows([session for page in pages for session in page.sessions])
    join = SqliteRows.join_extra
    first = compare_rows({}, rows, [as_of] * len(rows), as_of, 1, join)
    stored = {} if kind == "new" else first.new
    if kind == "changed":
        rows = [(*row[:3], "Renamed", *row[4:]) for row in rows]
    changes = benchmark(compare_rows, stored, rows, [later] * len(rows), later, 2, join)
    assert changes.inserted + changes.updated + changes.unchanged == len(rows)


@pytest.fixture
def saving(
    bodies: tuple[str, list[bytes]], pages: list[Page], tmp_path: Path
) -> Iterator[tuple[Store, Run, Batch]]:
    """A SQLite store, a run on it, and a batch of eight pages."""
    agent_id, _ = bodies
    store = Store(f"sqlite:///{tmp_path / 'micro.db'}", utc_now)
    migrate.upgrade(store.engine)
    lease: Any = store.claim(agent_id)
    run = start_run(store, lease, "backfill", store.load_state(agent_id), utc_now())
    yield store, run, _batch(pages)
    store.close()


def test_save_eight_unchanged_pages(benchmark: Any, saving: tuple[Store, Run, Batch]) -> None:
    store, run, batch = saving
    store.save(run, batch)
    saved = benchmark(store.save, run, batch)
    assert saved.counts.repeated == 100 * PAGES


def test_save_eight_new_pages(benchmark: Any, saving: tuple[Store, Run, Batch]) -> None:
    store, run, batch = saving

    def emptied() -> None:
        with store.engine.begin() as connection:
            for table in ("state_changes", "sessions"):
                connection.exec_driver_sql(f"DELETE FROM {table}")

    saved = benchmark.pedantic(store.save, (run, batch), setup=emptied, rounds=30)
    assert saved.counts.inserted == 100 * PAGES


def test_save_eight_changed_pages(
    benchmark: Any, saving: tuple[Store, Run, Batch], pages: list[Page]
) -> None:
    store, run, batch = saving
    store.save(run, batch)

    def renamed() -> None:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE sessions SET name = 'another'")

    saved = benchmark.pedantic(store.save, (run, _batch(pages)), setup=renamed, rounds=30)
    assert saved.counts.updated == 100 * PAGES


def _batch(pages: list[Page]) -> Batch:
    now = utc_now()
    return Batch([Response(page.sessions, page.creators, page.rejected, now) for page in pages])
