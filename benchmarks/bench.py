"""Running contenders in turn, each in a process and a database of its own."""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders import HERE, Contender
from benchmarks.simulated import Facts, Simulated
from tests.support.postgres import Cluster, cluster

LONGEST = 600
DURABLE = ("fsync=on", "synchronous_commit=on", "full_page_writes=on")
"""PostgreSQL's own defaults, as users run it; the tests do without."""

SLOW = ("SDK script", "dlt, tuned")
"""Who runs in the first round only, with `--peers-once`: the whole takes minutes less."""


@dataclass
class Result:
    """One run of one contender."""

    workload: str
    database: str
    contender: str
    wall: float
    cpu: float
    memory: float
    load: float
    simulator: float
    requests: int
    right: int | None = None
    stale: int | None = None
    lacking: int | None = None
    note: str = ""
    failed: bool = False


@dataclass
class Place:
    """A database and a folder of one contender."""

    database: str
    folder: Path


@dataclass
class Bench:
    """Settings of this run of the benchmarks, and its results so far."""

    rounds: int
    quick: bool
    peers_once: bool
    stack: ExitStack
    results: list[Result] = field(default_factory=list)
    capacity: dict[str, float] = field(default_factory=dict)
    _cluster: Cluster | None = None

    def size(self, full: int, small: int) -> int:
        return small if self.quick else full

    @contextmanager
    def places(self, kind: str, contenders: Sequence[Contender]) -> Iterator[list[Place]]:
        """A fresh database for each contender, removed afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="etl-bench-"))
        places = []
        try:
            for number in range(len(contenders)):
                own = folder / str(number)
                own.mkdir()
                url = f"sqlite:///{own / 'bench.db'}" if kind == "SQLite" else self._postgres()
                places.append(Place(url, own))
            yield places
        finally:
            if self._cluster is not None and kind != "SQLite":
                for place in places:
                    self._cluster.drop(place.database)
            shutil.rmtree(folder, ignore_errors=True)

    def _postgres(self) -> str:
        if self._cluster is None:
            self._cluster = self.stack.enter_context(cluster(*DURABLE, in_memory=False))
        return self._cluster.fresh()

    def turns(self, contenders: Sequence[Contender]) -> Iterator[list[Contender]]:
        """Who runs in each round, in an order that shifts."""
        for number in range(self.rounds):
            shift = number % len(contenders)
            order = [*contenders[shift:], *contenders[:shift]]
            yield [one for one in order if number == 0 or not self._is_rare(one)]

    def _is_rare(self, contender: Contender) -> bool:
        return self.peers_once and contender.name in SLOW

    def alternate(
        self, workload: str, kind: str, simulated: Simulated, contenders: Sequence[Contender]
    ) -> None:
        """Every contender from an empty database, round after round."""
        for turn in self.turns(contenders):
            for contender in turn:
                with self.places(kind, [contender]) as (place,):
                    self.measure(workload, kind, simulated, contender, place)

    def prepare(self, kind: str, simulated: Simulated, contender: Contender, place: Place) -> None:
        """The first of two runs, which doesn't count. Raises RuntimeError if it fails thrice."""
        for _ in range(3):
            if not run(contender, simulated.base_url, simulated.agents, place)["code"]:
                return
            print(f"the first run of {contender.name} into {kind} failed; once more", flush=True)
        raise RuntimeError(f"{contender.name} can't fill {kind}")

    def measure(
        self,
        workload: str,
        kind: str,
        simulated: Simulated,
        contender: Contender,
        place: Place,
    ) -> Result:
        """Run it once, and keep what it cost and what it stored."""
        requests, busy = simulated.requests(), simulated.cpu()
        cost = run(contender, simulated.base_url, simulated.agents, place)
        result = Result(
            workload,
            kind if not contender.no_database else "-",
            contender.name,
            cost["wall"],
            cost["cpu"],
            cost["memory"],
            cost["load"],
            (simulated.cpu() - busy) / cost["wall"],
            simulated.requests() - requests,
            note=f"exit code {cost['code']}" if cost["code"] else "",
            failed=bool(cost["code"]),
        )
        if not cost["code"] and not contender.no_database and contender.options != ("--help",):
            compare(result, stored(place.database), simulated.truth())
        self.results.append(result)
        told = f"{result.wall:7.2f} s {result.cpu:7.2f} CPU {result.memory:5.0f} MB"
        print(f"{workload:11} {kind:10} {contender.name:28} {told} {result.note}", flush=True)
        return result


def run(contender: Contender, base: str, agents: Sequence[str], place: Place) -> dict[str, float]:
    """What a run costs. A failure is told with the end of its output."""
    result, log = place.folder / "cost.json", place.folder / "log"
    command = [sys.executable, "-S", str(HERE / "measure.py"), str(result), str(log)]
    command += contender.command(base, place.database, agents)
    environment = contender.environment(base, place.database, agents, place.folder)
    subprocess.run(command, cwd=place.folder, env=environment, check=True, timeout=LONGEST)
    cost: dict[str, float] = json.loads(result.read_text(encoding="utf-8"))
    if cost["code"]:
        print(log.read_text(encoding="utf-8", errors="replace")[-2000:], file=sys.stderr)
    return cost


def _connect(url: str) -> Any:
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    import psycopg

    return psycopg.connect(url)


def stored(url: str) -> dict[str, Facts]:
    """What a contender's table says of each session: all have these columns."""
    sql = "SELECT id, name, state, credit_cost, input_tokens FROM sessions"
    with closing(_connect(url)) as connection:
        rows = connection.execute(sql).fetchall()
    return {
        id: (name, state, None if cost is None else round(float(cost), 6), tokens)
        for id, name, state, cost, tokens in rows
    }


def compare(result: Result, rows: dict[str, Facts], truth: dict[str, Facts]) -> None:
    """Count the rows that are right, those that are not, and those that lack."""
    result.right = sum(rows.get(id) == facts for id, facts in truth.items())
    result.lacking = len(truth.keys() - rows.keys())
    result.stale = len(truth) - result.right - result.lacking


def as_json(results: Sequence[Result]) -> list[dict[str, object]]:
    return [asdict(result) for result in results]
