"""A lake read by Sail, a distributed engine that speaks Spark's protocol, as a cluster."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from etl.store.store import Store
from tests.export.conftest import fill
from tests.lake.conftest import TABLES, Carry, Row, listens, ordered, plain, stored
from tests.support.postgres import free_port
from tests.support.waiting import until


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session with a cluster of workers: processes of Sail's own."""
    program = shutil.which("sail", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program, "pysail isn't installed: `make .venv/.dev`"
    port = free_port()
    log = tmp_path_factory.mktemp("sail") / "log"
    words = [program, "spark", "server", "--ip", "127.0.0.1", "--port", str(port)]
    env = os.environ | {"SAIL_MODE": "local-cluster"}
    with log.open("w") as output:
        server = subprocess.Popen(words, env=env, stdout=output, stderr=output)
    try:
        until(lambda: listens(port) or server.poll() is not None, "Sail")
        assert server.poll() is None, log.read_text()
        yield from _session(port)
    finally:
        server.kill()
        server.wait()


def _session(port: int) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    yield session
    with suppress(Exception):
        session.stop()


def collected(spark: Any, lake: Path, name: str) -> list[Row]:
    """All rows of a table, as Spark's client gives them."""
    frame = spark.read.format("delta").load(str(lake / name))
    return [plain({k: _aware(v) for k, v in row.asDict().items()}, name) for row in frame.collect()]


def _aware(value: Any) -> Any:
    """Spark's client gives times of the session's zone, which is UTC, without saying so."""
    if hasattr(value, "hour") and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_reads_every_row_as_it_is_stored(
    spark: Any, filled: Store, lake: Path, carry: Carry
) -> None:
    carry()
    with filled.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sessions SET state = 'failed' WHERE id = 'undated'")
    carry()

    for name, table in TABLES.items():
        if not table.is_optional:
            assert ordered(collected(spark, lake, name)) == ordered(stored(filled, name)), name


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_reads_ids_and_texts_as_bad_as_the_tables_take_them(
    spark: Any, store: Store, lake: Path, carry: Carry
) -> None:
    fill(store)
    with store.engine.begin() as connection:
        # pandas, through which Spark's client hands rows on, knows no year 1 and no year 9999.
        odd = "created_at < '1900-01-01' OR created_at > '2200-01-01'"
        connection.exec_driver_sql(f"UPDATE sessions SET created_at = NULL WHERE {odd}")
    carry()

    for name in ("sessions", "creators", "agents"):
        assert ordered(collected(spark, lake, name)) == ordered(stored(store, name)), name


@pytest.mark.filterwarnings("ignore")
def test_the_figures_of_agent_days_are_those_of_the_database(
    spark: Any, filled: Store, lake: Path, carry: Carry
) -> None:
    carry()
    columns = "agent_id, day, sessions, completed, failed, credit_cost, output_tokens"
    with filled.connect() as connection:
        wanted = [
            tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM agent_days")
        ]

    found = spark.sql(f"""
        SELECT agent_id, CAST(created_at AS DATE) AS day, count(*) AS sessions,
            count(CASE WHEN state = 'completed' THEN 1 END) AS completed,
            count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
            sum(credit_cost) AS credit_cost, sum(output_tokens) AS output_tokens
        FROM delta.`{lake}/sessions` WHERE created_at IS NOT NULL GROUP BY 1, 2""").collect()

    assert len(wanted) > 10
    assert sorted(map(figures, found)) == sorted(map(figures, wanted))


def figures(row: Any) -> tuple[Any, ...]:
    agent, day, sessions, completed, failed, credits, tokens = row
    assert not isinstance(credits, pd.Timestamp)
    cost = None if credits is None else round(float(credits), 6)
    return (agent, str(day), sessions, completed, failed, str(cost), str(tokens))
