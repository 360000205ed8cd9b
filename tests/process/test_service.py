"""`python -m etl run` seen from outside: probes, metrics, log and ping of a real process."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from etl.simulator import Fault, Simulator, World
from tests.process.project import SECRET, Project
from tests.process.watched import Watched
from tests.support.postgres import own_server
from tests.support.waiting import PATIENCE, until

Start = Callable[..., Watched]
both = pytest.mark.parametrize("anywhere", ["sqlite", "postgres"], indirect=True)
NAME = "Jane Doe"


@pytest.fixture
def world() -> World:
    """Two agents with a short history."""
    return World.generate(agents=2, sessions=120, seed=11)


@pytest.fixture
def anywhere(request: pytest.FixtureRequest, project: Project) -> Iterator[Project]:
    """SQLite, unless a test asks for both."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield project
        return
    cluster = request.getfixturevalue("postgres")
    project.database = cluster.fresh()
    yield project
    cluster.drop(project.database)


@pytest.fixture
def start(anywhere: Project, world: World, api: Simulator) -> Iterator[Start]:
    """Starts the scheduler, which syncs all the time; none outlives its test."""
    started: list[Watched] = []

    def go(api_keys: dict[str, Any] | None = None, **service: Any) -> Watched:
        anywhere.configure(
            api.base_url,
            world.agent_ids(),
            api={"page_size": 40, "max_attempts": 1, **(api_keys or {})},
            schedule={"every": "0.2s"},
            service={"listen": "127.0.0.1:0", "ready_within": "1h", **service},
        )
        started.append(Watched(anywhere.start("run")))
        return started[-1]

    yield go
    for watched in started:
        watched.kill()


@both
def test_run_serves_metrics_and_probes(anywhere: Project, world: World, start: Start) -> None:
    watched = start()

    document = watched.await_ready()
    for agent in world.agent_ids():
        watched.await_metric("runs_total", 2, agent=agent, mode="incremental", status="succeeded")

    assert [one["agent_id"] for one in document["agents"]] == world.agent_ids()
    assert watched.ask("/healthz").json()["alive"] is True
    agent = world.agent_ids()[0]
    assert watched.metric("rows_total", agent=agent, outcome="inserted") == 120
    assert (watched.metric("pages_total", agent=agent) or 0) >= 4
    assert (watched.metric("request_duration_seconds_count", status="200") or 0) >= 8
    assert (watched.metric("last_success_age_seconds", agent=agent) or 0) < 3600
    assert watched.metric("watermark_age_seconds", agent=agent) is not None
    assert watched.metric("freshness_age_seconds", agent=agent) is not None
    is_open = [s for s in world.sessions(agent) if s["state"] not in ("completed", "failed")]
    assert watched.metric("open_sessions", agent=agent) == len(is_open)
    assert sum(watched.metric("lease", agent=agent, holder=h) or 0 for h in ("us", "free")) == 1
    assert [watched.metric("outages_total", of=of) for of in ("api", "database")] == [0, 0]
    assert watched.metric("database_up") == 1
    assert "process_resident_memory_bytes" in watched.ask("/metrics").text
    assert watched.ask("/none").status_code == 404
    assert watched.ask("/metrics", "POST").status_code == 405
    assert watched.ask("/metrics", "HEAD").content == b""
    done = watched.stop()
    assert [json.loads(line)["event"] for line in done.err.splitlines()][-1] == "service_stopped"


def test_unset_it_listens_nowhere_and_an_address_in_use_is_one_sentence(
    anywhere: Project, start: Start
) -> None:
    first = start()
    text = (anywhere.folder / "config.toml").read_text(encoding="utf-8")
    anywhere.write(text.replace("127.0.0.1:0", first.address))

    anywhere.run("run").fails(2, "service.listen", "in use")

    first.stop()
    anywhere.write(text.replace('listen = "127.0.0.1:0"', ""))
    quiet = Watched(anywhere.start("run"))
    quiet.await_event("run_finished")
    quiet.stop()
    quiet.kill()
    assert not quiet.events("service_listening")


def test_not_ready_until_every_agent_has_succeeded(
    world: World, api: Simulator, start: Start
) -> None:
    broken, fine = world.agent_ids()
    api.add_fault(Fault("status", path=broken, status=403, times=None))
    watched = start()
    watched.await_metric("runs_total", agent=broken, status="failed")
    watched.await_metric("runs_total", agent=fine, status="succeeded")

    failing = [f"agent {broken}"]
    until(lambda: watched.await_ready(ready=False)["failing"] == failing, "one agent's failure")
    assert watched.metric("last_success_age_seconds", agent=broken) == float("inf")
    assert watched.ask("/healthz").status_code == 200
    api.clear_faults()
    watched.await_ready()

    watched.stop()


def test_an_outage_of_the_api_is_counted_and_told(
    world: World, api: Simulator, start: Start
) -> None:
    watched = start({"max_attempts": 2})
    watched.await_ready()

    api.stop()
    began = watched.await_event("outage_began", of="api")
    assert watched.await_metric("outages_total", of="api") == 1
    assert watched.metric("outage", of="api") == 1
    watched.await_metric("runs_total", status="failed", agent=world.agent_ids()[0])
    watched.await_metric("request_retries_total", status="none")
    watched.await_metric("requests_given_up_total", status="none")
    api.start()
    ended = watched.await_event("outage_ended", of="api")

    watched.stop()
    assert (began["reason"], began["level"]) == ("transient", "error")
    assert ended["seconds"] > 0
    assert watched.events("request_retried")
    failed = [line for line in watched.events("run_finished") if line["status"] == "failed"]
    assert {line["level"] for line in failed} == {"warning"}


def test_a_rate_limit_is_counted_and_told(api: Simulator, start: Start) -> None:
    api.add_fault(Fault("status", status=429, headers={"Retry-After": "1"}, times=1))
    watched = start({"max_attempts": 3})

    line = watched.await_event("rate_limited")
    watched.await_ready()

    assert (line["http_status"], line["wait_seconds"]) == (429, 1)
    assert watched.metric("rate_limit_waits_total", cause="api") == 1
    assert watched.metric("rate_limit_wait_seconds_total", cause="api") == 1
    assert watched.metric("request_retries_total", status="429") == 1
    assert watched.metric("outages_total", of="api") == 0
    watched.stop()


def test_an_outage_of_the_database_is_counted_and_told(
    project: Project, world: World, start: Start
) -> None:
    with own_server() as server:
        project.database = server.fresh()
        watched = start()
        agent = world.agent_ids()[0]
        watched.await_ready()

        server.stop()
        document = watched.await_ready(ready=False)
        assert document["failing"] == ["database"]
        assert "127.0.0.1" not in json.dumps(document)
        assert watched.ask("/healthz").status_code == 200
        assert watched.await_metric("outages_total", of="database") >= 1
        watched.await_metric("database_errors_total")
        assert watched.metric("database_up") == 0
        assert watched.metric("last_success_age_seconds", agent=agent) is None
        line = watched.await_event("outage_began", of="database")
        server.start()
        watched.await_ready()
        watched.await_event("outage_ended", of="database")
        assert watched.metric("database_up") == 1
        assert watched.metric("outage", of="database") == 0

        watched.stop()
    assert line["level"] == "error"
    assert watched.events("run_finished")


@pytest.mark.long
def test_a_lease_taken_over_from_the_dead_is_counted_and_told(
    anywhere: Project, world: World, api: Simulator, start: Start
) -> None:
    agent = world.agent_ids()[0]
    api.add_fault(Fault("latency", seconds=300.0, path=agent, times=None))
    first = start({"timeout": 600})
    first.await_event("run_started", agent=agent)
    until(lambda: any(agent in request.path for request in list(api.requests)), "its request")
    first.process.kill()
    first.process.wait()
    api.clear_faults()

    second = start()

    second.await_event("lease_taken_over", agent=agent)
    second.await_metric("leases_taken_over_total", agent=agent)
    second.stop()


def test_nothing_that_a_server_says_reaches_the_log(
    world: World, api: Simulator, start: Start
) -> None:
    words = f"{NAME} <jane@example.com> may not read {SECRET}"
    agent = world.agent_ids()[0]
    api.add_fault(Fault("status", path=agent, status=500, message=words, times=None))
    watched = start({"max_attempts": 2})
    watched.await_metric("runs_total", agent=agent, status="failed")
    metrics, ready = watched.ask("/metrics").text, watched.ask("/readyz").text

    done = watched.stop()

    assert watched.events("request_retried")
    for text in (done.err, metrics, ready):
        assert not [word for word in (NAME, "jane@", SECRET) if word in text]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_log_stops_nothing(
    anywhere: Project, world: World, api: Simulator, unbuffered: str
) -> None:
    anywhere.configure(api.base_url, world.agent_ids(), schedule={"every": "0.2s"})
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "etl", "run"],
            cwd=anywhere.folder,
            env=anywhere.environment(PYTHONUNBUFFERED=unbuffered),
            stdout=subprocess.DEVNULL,
            stderr=full,
        )
        until(lambda: len(list(api.requests)) > 20, "several runs")
        process.terminate()

        assert process.wait(PATIENCE) == 0


class Switch(BaseHTTPRequestHandler):
    """A dead man's switch."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_a_switch_is_told_of_success_and_failure(
    anywhere: Project, world: World, api: Simulator, start: Start
) -> None:
    asked: list[str] = []
    handler = type("Handler", (Switch,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as switch:
        threading.Thread(target=switch.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{switch.server_address[1]}/s3cret-id"
        (anywhere.folder / "url").write_text(url + "\n")
        anywhere.env["ETL_SERVICE__PING_URL_FILE"] = "url"
        watched = start()
        until(lambda: asked, "the first ping")
        assert asked[0] == "/s3cret-id"

        api.add_fault(Fault("status", path=world.agent_ids()[0], status=500, times=None))
        until(lambda: asked[-1] == "/s3cret-id/fail", "a ping of failure")
        api.clear_faults()
        until(lambda: asked[-1] == "/s3cret-id", "a ping of success")
        watched.await_metric("pings_total", 3, outcome="delivered")

        switch.shutdown()
    done = watched.stop()
    assert len(asked) < 10
    assert "s3cret" not in done.err


@both
def test_run_deletes_what_is_past_its_age(
    anywhere: Project, start: Start, world: World, api: Simulator
) -> None:
    anywhere.configure(api.base_url, world.agent_ids())
    for _ in range(3):
        assert anywhere.run("sync").code == 0
    anywhere.env["ETL_RETENTION__RUNS"] = "0.001s"
    watched = start()

    told = watched.await_event("retention_applied")

    assert (told["transcripts"], told["payloads"]) == (0, 0)
    assert told["runs"] >= 4
