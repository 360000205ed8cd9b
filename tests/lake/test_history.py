"""Twenty runs with kills, forgotten people and changed rules in between: equal to the end."""

import random
from pathlib import Path

import pytest
from sqlalchemy import text

from etl.analytics.lake import run as lake_run
from etl.clock import utc_now
from etl.config import Privacy
from etl.privacy import make_rules
from etl.store.privacy.forget import forget
from etl.store.privacy.rules_change import apply_rules_change
from etl.store.store import Store
from tests.export.conftest import IDS, fill
from tests.lake.conftest import assert_equal, stored
from tests.lake.test_accidents import die, texts_of

RUNS = 20


SESSIONS = """
UPDATE sessions SET credit_cost = {0}, name = 'Hushhush {0}',
    created_at = '{1}-01 00:00:00.000000+00'
WHERE id LIKE '%#{2}%'
"""


def disturb(store: Store, draw: random.Random) -> None:
    """A sync's worth of changes, without regard to any timestamp."""
    number, month = draw.randrange(1000), f"2026-0{draw.randint(1, 9)}"
    sessions = SESSIONS.format(number, month, draw.randrange(10))
    if store.engine.dialect.name == "sqlite":
        sessions = sessions.replace("+00", "")
    people = "UPDATE creators SET last_name = 'Hushhush' WHERE last_name IS NULL"
    with store.engine.begin() as connection:
        for statement in (sessions, people, f"UPDATE agents SET name = '{number}'"):
            connection.execute(text(statement.replace(":", "\\:")))


@pytest.mark.parametrize("seed", [1])
def test_a_lake_of_twenty_runs_equals_the_database(store: Store, lake: Path, seed: int) -> None:
    draw = random.Random(seed)
    fill(store)
    killed = 0
    for number in range(RUNS):
        disturb(store, draw)
        if number % 5 == 3:
            forget(store, IDS[number // 5])
        if number % 3 != 0:
            what = draw.choice(["write", "commit", "committed", "purge"])
            killed += die(store.url, lake, what, draw.randrange(4))
        else:
            lake_run.carry(store.url, str(lake), utc_now)
            assert_equal(store, lake)
    strict = Store(store.url, utc_now, make_rules(Privacy(emails="drop", names="drop"), None))
    assert apply_rules_change(strict)
    strict.close()
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE sessions SET name = NULL"))

    lake_run.carry(store.url, str(lake), utc_now)

    assert killed > 3
    assert_equal(store, lake)
    assert {row["last_name"] for row in stored(store, "creators")} == {None}
    assert [path for path, content in texts_of(lake) if "hushhush" in content.lower()] == []
