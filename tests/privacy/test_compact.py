"""What keeps PostgreSQL from writing its files anew is said; SQLite's part is a process test."""

from contextlib import closing

import psycopg
import pytest

from etl.clock import utc_now
from etl.errors import StoreError
from etl.store.privacy import compact as compacting
from etl.store.privacy.compact import compact
from etl.store.store import Store
from tests.privacy.people import plant
from tests.support.postgres import Cluster

postgres_only = pytest.mark.parametrize("store", ["postgres"], indirect=True)


def test_rows_survive_and_saves_go_on(store: Store) -> None:
    run = plant(store)

    compact(store)

    assert store.load_state(run.agent_id).coverage == ()
    store.renew(run.lease)


@postgres_only
def test_another_session_in_the_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compacting, "LOCK_TIMEOUT", "200ms")
    plant(store)
    with psycopg.connect(store.url) as reader:
        reader.execute("SELECT count(*) FROM session_messages")
        with pytest.raises(StoreError, match="another session uses session_messages") as error:
            compact(store)
    assert "export" in str(error.value)
    compact(store)


@postgres_only
def test_a_role_that_does_not_own_the_tables(store: Store, postgres: Cluster) -> None:
    plant(store)
    name = store.url.rsplit("/", 1)[1]
    postgres.run(f"CREATE ROLE worker_{name} LOGIN")
    try:
        with psycopg.connect(store.url, autocommit=True) as connection:
            rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
            connection.execute(f"GRANT {rights} TO worker_{name}")
        url = store.url.replace("postgres@", f"worker_{name}@")
        with closing(Store(url, utc_now)) as worker:
            with pytest.raises(StoreError, match="permission denied") as error:
                compact(worker)
        assert "owner" in str(error.value)
    finally:
        with psycopg.connect(store.url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY worker_{name}")
        postgres.run(f"DROP ROLE worker_{name}")
