"""The simulated API as a process of its own: started, asked, changed, measured."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

TOKEN = "sim-token"
Facts = tuple[str | None, str | None, float | None, int | None]
"""What is compared of a session: name, state, credit_cost, input_tokens."""


class Simulated:
    """A simulator with every page encoded beforehand. Options: `--latency 100` and the like."""

    def __init__(self, agents: int, sessions: int, *options: str) -> None:
        command = [sys.executable, "-m", "etl.simulator", "--warm"]
        command += ["--agents", str(agents), "--sessions", str(sessions), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.agents: list[str] = []
        self._truth: dict[str, Facts] | None = None
        self._read_introduction()

    def _read_introduction(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "listening":
                self.base_url = rest.removeprefix("on ")
            elif word == "agent":
                self.agents.append(rest.split()[0])
            elif word == "control":
                self.host, self.port = urlsplit(rest).hostname, urlsplit(rest).port
                return
        raise RuntimeError("the simulator did not start")

    def __enter__(self) -> "Simulated":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(30)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """A control request."""
        connection = http.client.HTTPConnection(str(self.host), self.port, timeout=120)
        connection.request(method, f"/_sim/{path}", json.dumps(body) if body is not None else None)
        response = connection.getresponse()
        answer = json.loads(response.read())
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"{path}: {answer}")
        return answer

    def requests(self) -> int:
        return int(self.ask("GET", "stats")["requests"])

    def records(self, agent: str) -> list[dict[str, Any]]:
        """The sessions of an agent as they are now, newest first."""
        return list(self.ask("GET", f"truth?agent_id={quote(agent)}")["sessions"])

    def truth(self) -> dict[str, Facts]:
        """What every session's row should say."""
        if self._truth is None:
            records = (record for agent in self.agents for record in self.records(agent))
            self._truth = {record["id"]: _facts(record) for record in records}
        return self._truth

    def change(self, id: str, **fields: Any) -> None:
        self._truth = None
        self.ask("POST", "change", {"id": id, "fields": fields})

    def reopen(self, id: str) -> None:
        self._truth = None
        self.ask("POST", "reopen", {"id": id})

    def settle(self) -> None:
        """Bring every session to an end."""
        for agent in self.agents:
            for record in self.records(agent):
                if record["state"] not in ("completed", "failed"):
                    self.change(record["id"], state="completed")

    def cpu(self) -> float:
        """The CPU seconds of the simulator so far."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8")
        except FileNotFoundError:
            return 0.0
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def capacity(self) -> float:
        """Pages a second for a client that only reads: a walk per agent, sockets, no parsing."""
        chains = [_Chain(self, agent) for agent in self.agents[:4]]
        pages, began, left = 0, time.perf_counter(), list(chains)
        for chain in chains:
            chain.ask()
        while left:
            for chain in list(left):
                pages += 1
                if not chain.go_on():
                    left.remove(chain)
        return pages / (time.perf_counter() - began)


class _Chain:
    """One walk: the next page is asked for as soon as the last one is there."""

    def __init__(self, simulated: Simulated, agent: str) -> None:
        self.path = f"/api/v1/agents/{quote(agent, safe='')}/sessions?page_size=100"
        self.socket = socket.create_connection((simulated.host, simulated.port))
        self.cursor = ""

    def ask(self) -> None:
        cursor = f"&cursor={quote(self.cursor, safe='')}" if self.cursor else ""
        head = f"GET {self.path}{cursor} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {TOKEN}"
        self.socket.sendall(f"{head}\r\n\r\n".encode())

    def go_on(self) -> bool:
        """Take the answer and ask for the next page; False at the end."""
        head, _, body = self._receive(b"").partition(b"\r\n\r\n")
        wanted = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        parts, size = [body], len(body)
        while size < wanted:
            parts.append(self.socket.recv(1 << 20))
            size += len(parts[-1])
        tail = b"".join(parts)[-400:].rpartition(b'"next_cursor":')[2].strip(b' }"')
        if tail in (b"null", b""):
            self.socket.close()
            return False
        self.cursor = tail.decode()
        self.ask()
        return True

    def _receive(self, data: bytes) -> bytes:
        while b"\r\n\r\n" not in data:
            data += self.socket.recv(1 << 20)
        return data


def _facts(record: dict[str, Any]) -> Facts:
    usage = record.get("usage") or {}
    cost = usage.get("credit_cost")
    return (
        record.get("name"),
        record.get("state"),
        None if cost is None else round(float(cost), 6),
        usage.get("input_tokens"),
    )
