"""The log, the control endpoints, the HTTP itself, and the simulator as a process."""

import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from etl.simulator import Fault, Simulator
from etl.simulator.__main__ import main
from tests.support.waiting import PATIENCE


def test_requests_are_logged_in_order(caller):
    """Time, method, path, query and status; clear_requests empties the log."""
    caller.page(page_size=3)
    caller.get("/sessions/none")
    log = caller.simulator.requests

    assert [
        ("GET", f"/api/v1/agents/{caller.agent_id}/sessions", "page_size=3", 200),
        ("GET", "/api/v1/sessions/none", "", 404),
    ] == [(r.method, r.path, r.query, r.status) for r in log]

    caller.simulator.clear_requests()

    assert caller.simulator.requests == []


def test_the_log_can_be_off(serve, world):
    """Requests are counted still."""
    caller = serve(world, log=False)
    caller.page()

    assert caller.simulator.requests == []
    assert caller.simulator.stats()["requests"] == 1


def test_the_hook_changes_the_world_before_the_answer(caller, world):
    """What it adds is in the page that is being asked for."""
    added = []
    caller.simulator.on_request = lambda _record: added.append(world.add_session(caller.agent_id))
    page = caller.page(page_size=1).json()

    assert added == [page["sessions"][0]["id"]]


def test_an_error_in_the_hook_is_shown(caller):
    """A 500 that carries the traceback, so that a test finds its own mistake."""
    caller.simulator.on_request = lambda _record: 1 / 0

    answer = caller.page()

    assert answer.status_code == 500
    assert "ZeroDivisionError" in answer.text


def test_faults_from_another_process(caller):
    """POST appends, DELETE clears, nonsense is refused."""
    caller.control("POST", "faults", json=[{"kind": "status", "status": 502, "times": None}])

    assert caller.page().status_code == 502

    caller.control("DELETE", "faults")

    assert caller.page().status_code == 200
    assert caller.control("POST", "faults", json=[{"kind": "?"}]).status_code == 400


def test_sessions_from_another_process(caller):
    """Add, change, reopen, remove and restore, each seen in the truth."""
    body = {"agent_id": caller.agent_id, "id": "s1", "name": "N", "created_at": None}

    def truth():
        sessions = caller.control("GET", "truth", params={"agent_id": caller.agent_id}).json()
        return next((s for s in sessions["sessions"] if s["id"] == "s1"), None)

    assert caller.control("POST", "add", json=body).json() == {"id": "s1"}
    assert (truth()["name"], truth()["created_at"]) == ("N", None)

    change = {"id": "s1", "fields": {"name": "M", "usage": "oops"}, "drop": ["creator"]}
    caller.control("POST", "change", json=change)

    assert (truth()["name"], truth()["usage"], "creator" in truth()) == ("M", "oops", False)

    caller.control("POST", "reopen", json={"id": "s1"})

    assert truth()["state"] == "processing"

    caller.control("POST", "remove", json={"id": "s1"})

    assert truth() is None

    caller.control("POST", "restore", json={"id": "s1"})

    assert truth()["name"] == "M"


def test_agents_and_time_from_another_process(caller, world):
    """Renaming, retiring, planting a raw record, letting time pass."""
    caller.control("POST", "rename_agent", json={"agent_id": caller.agent_id, "name": "Z"})
    planted = {"agent_id": caller.agent_id, "record": "x", "at": "2026-06-03T13:00:00Z"}
    caller.control("POST", "add_raw", json=planted)

    assert caller.truth()[0] == "x"
    assert caller.truth()[1]["agent_name"] == "Z"

    events = caller.control("POST", "live", json={"seconds": 86400}).json()

    assert {"added", "moved_on", "reopened", "renamed", "removed"} == set(events)

    caller.control("POST", "retire_agent", json={"agent_id": caller.agent_id})

    assert caller.agent_id not in world.agent_ids()


def test_log_and_stats_from_another_process(caller):
    """Control requests are not counted among them."""
    caller.page(page_size=2)
    log = caller.control("GET", "requests").json()["requests"]
    stats = caller.control("GET", "stats").json()

    assert [record["query"] for record in log] == ["page_size=2"]
    assert (stats["requests"], stats["sessions"][caller.agent_id]) == (1, 60)

    caller.control("DELETE", "requests")

    assert caller.simulator.requests == []


@pytest.mark.parametrize(
    ("method", "name", "status"),
    [("POST", "remove", 400), ("POST", "nothing", 404), ("GET", "remove", 404)],
)
def test_bad_control_requests_are_refused(caller, method, name, status):
    """An unknown one, or one without what it needs."""
    assert status == caller.control(method, name).status_code


def exchange(simulator, data, count):
    """Send raw bytes; return what comes until *count* answers are there or the server closes."""
    with socket.create_connection((simulator.host, simulator.port), timeout=PATIENCE) as sock:
        sock.sendall(data)
        received = b""
        while received.count(b"HTTP/1.1 ") < count and (chunk := sock.recv(65536)):
            received += chunk
        return received


def request_of(path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: x", "Authorization: Bearer sim-token", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_pipelined_requests_are_answered_in_order(caller):
    """Also when the first is slow."""
    caller.simulator.add_fault(Fault("latency", path="/teams", seconds=0.1))
    data = request_of("/api/v1/teams") + request_of("/api/v1/none") + request_of("/_sim/stats")
    statuses = re.findall(rb"HTTP/1.1 (\d+)", exchange(caller.simulator, data, 3))

    assert statuses == [b"200", b"404", b"200"]


def test_the_client_may_ask_to_close(caller):
    """Connection: close is honoured after the answer."""
    received = exchange(caller.simulator, request_of("/api/v1/teams", "Connection: close"), 2)

    assert b"Connection: close" in received
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /" + b"x" * 70_000,
    ],
    ids=["words", "length", "chunked", "long"],
)
def test_what_is_no_request_is_refused(caller, data):
    """400, then the connection closes."""
    assert exchange(caller.simulator, data, 2).startswith(b"HTTP/1.1 400 ")


def test_requests_may_come_in_pieces(caller):
    """A byte at a time."""
    with socket.create_connection((caller.simulator.host, caller.simulator.port)) as sock:
        for byte in request_of("/api/v1/teams"):
            sock.sendall(bytes([byte]))

        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


def test_a_taken_port_is_an_error(caller, world):
    """It is raised where the simulator is started."""
    with pytest.raises(OSError, match="in use"), Simulator(world, port=caller.simulator.port):
        pass


def test_a_stopped_simulator_refuses_connections(world):
    """After the context nobody listens."""
    with Simulator(world) as simulator:
        url = simulator.base_url

    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_an_outage_ends_where_it_began(caller):
    """Stopped and started again, the simulator is at the same port, with the same world."""
    caller.simulator.stop()

    with pytest.raises(httpx.TransportError):
        caller.page()

    caller.simulator.start()

    assert caller.page(page_size=100).json()["sessions"] == caller.truth()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_a_process_of_its_own_ends_on_a_signal(tmp_path, end):
    """The first line says where it listens; the signal ends it with exit code 0."""
    faults = tmp_path / "faults.json"
    faults.write_text('[{"kind": "status", "status": 503}]')
    command = [sys.executable, "-m", "etl.simulator", "--sessions", "30", "--live", "--no-log"]
    command += [
        "--faults",
        str(faults),
        "--latency",
        "1",
        "--rate-limit",
        "500",
        "--behind",
        "60",
        "--warm",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        base_url = process.stdout.readline().removeprefix("listening on ").strip()
        lines = list(
            iter(process.stdout.readline, f"control {base_url.removesuffix('/api/v1')}/_sim/\n")
        )
        token = lines[0].removeprefix("token ").strip()
        answers = [
            httpx.get(f"{base_url}/agents", headers={"Authorization": f"Bearer {token}"})
            for _ in range(2)
        ]
        process.send_signal(end)
        process.wait(timeout=PATIENCE)

    assert [answer.status_code for answer in answers] == [503, 200]
    assert all(
        f"agent {agent['id']} {agent['name']}\n" in lines for agent in answers[1].json()["agents"]
    )
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--faults", "nowhere.json"], "nowhere.json"),
        (["--traits", "no json"], "no json"),
        (["--traits", "[]"], "[]"),
        (["--traits", '{"x": 1}'], "'x'"),
        (["--sessions", "-1"], "whole number"),
        (["--port", "99999"], "99999"),
        (["--latency", "-1"], "0 or more"),
        (["--days", "nan"], "0 or more"),
        (["--rate-limit", "much"], "much"),
        (["--host", "256.0.0.1"], "256.0.0.1"),
    ],
)
def test_wrong_options_end_in_one_sentence(words, told, capsys, monkeypatch):
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    with pytest.raises(SystemExit) as ended:
        main(["--agents", "0", *words])

    assert ended.value.code == 2
    assert told in capsys.readouterr().err.splitlines()[-1]
