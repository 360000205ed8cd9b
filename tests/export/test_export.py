"""What is exported is what is stored: read back by DuckDB, from both databases."""

import csv
import json
import time
from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet
import pytest
from sqlalchemy import delete

from etl.analytics import schema_docs
from etl.analytics.export.exporter import ExportOptions, export
from etl.analytics.export.snapshot import open_snapshot
from etl.clock import utc_now
from etl.errors import ConfigError
from etl.models import Progress
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.export.conftest import (
    IDS,
    NOON,
    Export,
    add_session,
    duck,
    fill,
    parquet,
    same,
    stored,
)
from tests.support.postgres import Cluster

PAGE = schema_docs.read()
PUBLIC = [name for name, relation in PAGE.relations.items() if relation.public]


def test_every_row_comes_back_as_it_is_stored(hostile: Store, exported: Export, lake: Path) -> None:
    told = exported()

    assert [table["name"] for table in told["tables"]] == PUBLIC
    assert json.loads((lake / "manifest.json").read_text()) == told
    for table in told["tables"]:
        assert table["rows"] == len(parquet(lake, table["name"])), table
    for name in set(PUBLIC) & set(t.metadata.tables):
        same(parquet(lake, name), stored(hostile, name))


def test_both_databases_give_the_same(
    tmp_path: Path, postgres_template: str, request: pytest.FixtureRequest
) -> None:
    """The same names, types and rows, of tables and of views that each reckons in its own way."""
    cluster = request.getfixturevalue("postgres")
    server = cluster.fresh(postgres_template)
    for url, place in (f"sqlite:///{tmp_path}/it.db", "sqlite"), (server, "postgres"):
        store = Store(url, utc_now)
        migrate.upgrade(store.engine)
        fill(store)
        store.close()
        export(url, ExportOptions(tmp_path / place, tables=[*PAGE.relations]), utc_now())
    cluster.drop(server)

    for name in PAGE.relations:
        one, other = (schema_of(tmp_path / place, name) for place in ("sqlite", "postgres"))
        assert one == other, name
        one, other = (parquet(tmp_path / place, name) for place in ("sqlite", "postgres"))
        # `age_seconds` goes by the clock, and each database has an identity of its own.
        if name not in ("open_sessions", "database_identity"):
            same(one, other)
        assert len(one) == len(other), name


def schema_of(lake: Path, name: str) -> list[tuple[str, str]]:
    parts = sorted((lake / name).rglob("part-*.parquet")) or [lake / f"{name}.parquet"]
    return [(field.name, str(field.type)) for field in pyarrow.parquet.read_schema(parts[0])]


def test_sessions_lie_in_folders_of_their_agent_and_month(
    hostile: Store, exported: Export, lake: Path
) -> None:
    exported(tables=["sessions"])

    files = f"read_parquet('{lake}/sessions/**/*.parquet', hive_partitioning = false)"
    found = duck(f"SELECT replace(filename, '{lake}/sessions/', '') AS file, * FROM {files}")
    assert len(found) == len(stored(hostile, "sessions"))
    for row in found:
        agent, month, _ = row["file"].split("/")
        at = row["created_at"]
        assert month == f"month={str(at)[:7] if at else '__HIVE_DEFAULT_PARTITION__'}"
        assert unquote(agent) == f"agent={row['agent_id']}" or "~" in agent


def test_readers_of_hives_layout_skip_by_agent_and_month(
    hostile: Store, exported: Export, lake: Path
) -> None:
    exported(tables=["sessions"])
    hive = f"read_parquet('{lake}/sessions/**/*.parquet', hive_partitioning = true)"

    found = duck(f"SELECT agent, month, agent_id, created_at FROM {hive}")

    assert len(found) == len(stored(hostile, "sessions"))
    assert {row["agent"] for row in found if len(row["agent_id"]) < 60} >= {
        id for id in IDS if len(id) < 60
    }
    assert all((row["month"] is None) == (row["created_at"] is None) for row in found)


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "harmless"])
def test_csv_holds_the_same_text(hostile: Store, exported: Export, lake: Path, raw: bool) -> None:
    exported(format="csv", raw=raw)

    wanted = {row["id"]: row for row in stored(hostile, "sessions")}
    with (lake / "sessions.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(wanted)
    for row in found:
        id = row["id"] if row["id"] in wanted else row["id"].removeprefix("'")
        for name in ("id", "agent_id", "name", "state"):
            was = wanted[id][name] or ""
            assert row[name] == was or (not raw and row[name] == f"'{was}"), name
        assert raw or row["name"][:1] not in tuple("=+-@\t\r\n"), row["name"]
        tokens, cost = wanted[id]["input_tokens"], wanted[id]["credit_cost"]
        assert row["input_tokens"] == ("" if tokens is None else str(tokens))
        assert row["credit_cost"] == "" if cost is None else float(row["credit_cost"]) == cost


def test_duckdb_tells_null_from_empty_in_csv(hostile: Store, exported: Export, lake: Path) -> None:
    exported(tables=["sessions"], format="csv", raw=True)

    options = "header = true, all_varchar = true, quote = '\"', escape = '\"', delim = ','"
    options += ", allow_quoted_nulls = false, parallel = false, max_line_size = 4000000"
    found = duck(f"SELECT id, name FROM read_csv('{lake}/sessions.csv', {options})")

    same(found, [{"id": row["id"], "name": row["name"]} for row in stored(hostile, "sessions")])


def test_nul_of_sqlite_reaches_parquet_but_no_csv(tmp_path: Path, lake: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'nul.db'}", utc_now)
    migrate.upgrade(store.engine)
    fill(store)
    with store.engine.begin() as connection:
        connection.execute(t.agents.update().values(name="a\0b"))
    store.close()

    for format in ("parquet", "csv"):
        export(store.url, ExportOptions(lake, format, ["agents"]), utc_now())
        if format == "parquet":
            assert {row["name"] for row in parquet(lake, "agents")} == {"a\0b"}

    assert b"\0" not in (lake / "agents.csv").read_bytes()
    assert "a\N{REPLACEMENT CHARACTER}b" in (lake / "agents.csv").read_text(encoding="utf-8")


def test_a_new_export_takes_the_place_of_the_one_before(
    hostile: Store, exported: Export, lake: Path
) -> None:
    exported()
    with hostile.engine.begin() as connection:
        connection.execute(delete(t.sessions).where(t.sessions.c.agent_id != "plain"))

    exported()
    same(parquet(lake, "sessions"), stored(hostile, "sessions"))
    exported(format="csv", tables=["agents"])

    assert sorted(path.name for path in lake.iterdir()) == ["agents.csv", "manifest.json"]


def test_an_empty_database_has_empty_files(store: Store, exported: Export, lake: Path) -> None:
    told = exported()

    assert {table["rows"] for table in told["tables"] if table["name"] != "calendar"} <= {0, 1}
    assert parquet(lake, "sessions") == []
    assert told["next_since_run"] is None


def test_the_snapshot_is_one_whatever_is_written_meanwhile(hostile: Store, lake: Path) -> None:
    before = stored(hostile, "sessions")

    written: list[int] = []

    def write(progress: Progress) -> None:
        """Once, as soon as every session has been read."""
        if progress.number < len(before) or written:
            return
        written.append(progress.number)
        with hostile.engine.begin() as connection:
            add_session(connection, 1, id="late")
            state = {"session_id": "late", "observed_at": NOON, "state": "idle"}
            connection.execute(t.state_changes.insert().values(state))

    options = ExportOptions(lake, tables=("sessions", "session_states"))
    export(hostile.url, options, utc_now(), write)

    same(parquet(lake, "sessions"), before)
    assert parquet(lake, "session_states") == []
    assert len(stored(hostile, "sessions")) == len(before) + 1


def test_a_long_export_outlives_the_guards_of_short_transactions(
    postgres: Cluster, postgres_template: str, lake: Path
) -> None:
    """The server ends what idles, or takes long, with a row locked; a snapshot locks none."""
    url = postgres.fresh(postgres_template)
    guarded = f"{url}?options=-c%20idle_in_transaction_session_timeout%3D200ms"

    def pause(_: Progress) -> None:
        time.sleep(0.5)

    told = export(guarded, ExportOptions(lake, tables=["agents", "creators"]), utc_now(), pause)

    assert len(told["tables"]) == 2
    with open_snapshot(url) as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"
    postgres.drop(url)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"tables": ["nope"]}, "no table or view 'nope'"), ({"since_run": 7}, "no run 7")],
)
def test_what_is_not_there_is_refused(
    hostile: Store, exported: Export, lake: Path, options: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        exported(**options)

    assert not lake.exists()


@pytest.mark.parametrize("file", ["agents/mine.txt", "sessions/_delta_log/0.json"])
def test_what_lies_in_a_folder_named_as_a_table_is_left_alone(
    hostile: Store, exported: Export, lake: Path, file: str
) -> None:
    exported(format="csv")
    (lake / file).parent.mkdir(parents=True)
    (lake / file).write_text("mine")

    with pytest.raises(ConfigError, match="no export"):
        exported(format="csv")

    assert (lake / file).read_text() == "mine"
    assert (lake / "agents.csv").is_file()


def test_a_folder_of_other_files_is_left_alone(
    hostile: Store, exported: Export, lake: Path
) -> None:
    lake.mkdir()
    (lake / "thesis.txt").write_text("mine")
    (lake / "manifest.json").write_text('{"program": "another"}')

    with pytest.raises(ConfigError, match="no export"):
        exported()

    assert sorted(path.name for path in lake.iterdir()) == ["manifest.json", "thesis.txt"]


def test_a_file_in_the_way_is_told(hostile: Store, exported: Export, lake: Path) -> None:
    lake.write_text("mine")

    with pytest.raises(ConfigError, match="can't be written"):
        exported()

    assert lake.read_text() == "mine"
