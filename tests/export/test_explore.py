"""`explore` as a process: Datasette over HTTP, on a file that a sync writes to."""

import html
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from sqlalchemy import insert, update

from etl.analytics import schema_docs
from etl.store.schema import migrate
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.export.conftest import NOON, add_session
from tests.process.conftest import kept_private
from tests.process.project import Project
from tests.support.postgres import Cluster
from tests.support.waiting import PATIENCE, until

PAGE = schema_docs.read()
HOSTILE = "<script>alert(1)</script> '; DROP TABLE sessions; --"


class Explorer(NamedTuple):
    """A running `explore`."""

    http: httpx.Client
    process: "subprocess.Popen[str]"
    store: Store

    def json(self, path: str, **params: str) -> object:
        """What it answers as JSON."""
        answer = self.http.get(f"{path}.json", params={"_shape": "array", **params})
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A folder with a small database."""
    folder = Project(tmp_path)
    folder.configure("http://127.0.0.1:9/api/v1", ["a"])
    with closing(folder.store()) as store:
        migrate.upgrade(store.engine)
        fill(store)
    yield from kept_private(folder)


def fill(store: Store) -> None:
    seen = {"first_seen_at": NOON, "updated_at": NOON}
    with store.engine.begin() as connection:
        for values in ({"id": "a", "name": HOSTILE}, {"id": "b", "name": None}):
            connection.execute(insert(t.agents).values(values | seen))
        people = {"u1": ("Ada", "Lovelace"), "u2": (None, None)}
        for id, (first, last) in people.items():
            person = {"id": id, "first_name": first, "last_name": last, "email": f"{id}@x.org"}
            connection.execute(insert(t.creators).values(person | seen | {"as_of": NOON}))
        known = {"credit_cost": 0.5, "input_tokens": 7, "name": HOSTILE, "extra": {"a": 1}}
        for id, agent, creator in (("one", "a", "u1"), ("two", "b", "u2"), ("three", "b", None)):
            fields = {"agent_id": agent, "creator_id": creator, "created_at": NOON} | known
            add_session(connection, 0, id=id, **fields)


@pytest.fixture
def explorer(project: Project) -> Iterator[Explorer]:
    """It, answering."""
    process = project.start("explore", "--port", "0", ETL_DATABASE__URL=project.database)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        url = next(word for word in line.split() if word.startswith("http"))
        assert url.startswith("http://127.0.0.1:") and url.endswith("/gumloop")
        with (
            closing(project.store()) as store,
            httpx.Client(base_url=url[:-8], timeout=PATIENCE) as http,
        ):
            until(lambda: http.get("/-/versions.json").status_code == 200, "an answer")
            yield Explorer(http, process, store)
    finally:
        process.kill()
        process.communicate()


def test_tables_have_their_words_units_and_names(explorer: Explorer) -> None:
    page = explorer.http.get("/gumloop/sessions").text

    assert html.escape(PAGE.relations["sessions"].description, quote=False)[:60] in page
    assert "When it began, by the API. Never changes." in page
    assert "0.5 credits" in page and "7 tokens" in page
    assert "Ada Lovelace</a>" in page and "u2@x.org</a>" in page
    assert ">b</a>" in page, "an agent without a name shows its id"
    assert "<script>alert(1)" not in page and "&lt;script&gt;alert(1)" in page


def test_only_what_is_public_is_on_the_front(explorer: Explorer) -> None:
    tables = explorer.http.get("/gumloop.json").json()["tables"]

    shown = {table["name"] for table in tables if not table["hidden"]}
    public = {r.name for r in PAGE.relations.values() if r.public}
    assert shown == public & t.metadata.tables.keys()


def test_every_query_of_the_cookbook_is_prepared_and_runs(explorer: Explorer) -> None:
    queries = explorer.http.get("/gumloop.json").json()["queries"]

    assert [query["title"] for query in queries] == [query.title for query in PAGE.queries]
    for query in queries:
        answer = explorer.http.get(f"/gumloop/{query['name']}.json")
        assert answer.status_code == 200, answer.text
        assert answer.json()["ok"] and answer.json()["error"] is None


def test_nothing_can_be_written(explorer: Explorer, project: Project) -> None:
    for sql in ("DELETE FROM sessions", "PRAGMA journal_mode = DELETE", "ATTACH 'x.db' AS x"):
        answer = explorer.http.get("/gumloop.json", params={"sql": sql})
        assert (answer.status_code, answer.json()["error"]) == (400, "Statement must be a SELECT")
    for sql in ("WITH x AS (SELECT 1) DELETE FROM sessions", "EXPLAIN SELECT load_extension('x')"):
        explorer.http.get("/gumloop", params={"sql": sql})

    answer = explorer.http.get("/gumloop/sessions.json", params={"_size": "0"})
    assert answer.json()["filtered_table_rows_count"] == 3
    assert not (project.folder / "x.db").exists()


def test_errors_are_told_in_the_browser_alone(explorer: Explorer, project: Project) -> None:
    bad = {"/gumloop?sql=SELECT+secret": 400, "/gumloop/nope": 404, "/gumloop?sql=%00": 400}
    for path, status in bad.items():
        page = explorer.http.get(path)
        assert page.status_code == status and "<html" in page.text, path
    assert "no such column: secret" in explorer.http.get("/gumloop?sql=SELECT+secret").text
    forever = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    page = explorer.http.get("/gumloop", params={"sql": forever, "_timelimit": "50"})
    assert page.status_code == 400 and "time limit" in page.text
    explorer.process.terminate()

    done = project.finish(explorer.process)
    assert (done.code, done.out, done.err) == (0, "", "")


def test_it_sees_what_a_sync_writes_and_is_not_in_its_way(explorer: Explorer) -> None:
    explorer.http.get("/gumloop/sessions")
    with explorer.store.engine.begin() as connection:
        connection.execute(update(t.sessions).values(state="failed"))
        during = explorer.json("/gumloop/sessions", _col="state")
    after = explorer.json("/gumloop/sessions", _col="state")

    assert isinstance(during, list) and isinstance(after, list)
    assert {row["state"] for row in during} != {"failed"}
    assert {row["state"] for row in after} == {"failed"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(explorer: Explorer, project: Project, number: signal.Signals) -> None:
    explorer.process.send_signal(number)

    done = project.finish(explorer.process)
    assert (done.code, done.err) == (0, "")
    with pytest.raises(httpx.ConnectError):
        httpx.get(explorer.http.base_url)


def test_postgres_is_sent_elsewhere(project: Project, postgres: Cluster) -> None:
    done = project.run("explore", ETL_DATABASE__URL=postgres.admin_url)

    done.fails(2, "PostgreSQL", "README.md", "Metabase", "Grafana")
    heading = done.err.split('README.md, "')[1].split('"')[0]
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"\n## {heading}\n" in readme


def test_what_can_not_be_shown_is_told(explorer: Explorer, project: Project) -> None:
    port = str(explorer.http.base_url.port)

    project.run("explore", "--port", port).fails(2, "can't listen", port, "--port")
    project.run("explore", "--port", "99999").fails(2, "can't listen")
    project.run("explore", ETL_DATABASE__URL="sqlite:///none.db").fails(1, "no database")
    (project.folder / "a#b.db").write_bytes((project.folder / "gumloop.db").read_bytes())
    project.run("explore", ETL_DATABASE__URL="sqlite:///a#b.db").fails(2, "rename")
