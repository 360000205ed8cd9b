"""`kill -9` of real processes at random moments, while the world changes; each end is audited."""

import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from etl.models import AgentReport, Counts
from etl.planning.run_demand import RunOptions
from tests.process.project import Done, Project, checked
from tests.support.waiting import PATIENCE, until
from tests.torture.auditor import COUNTS, Run
from tests.torture.databases import Databases
from tests.torture.rig import Hook, Rig
from tests.torture.test_stateful import Totals
from tests.torture.truth import KINDS

MODES = {"sync": "incremental", "backfill": "backfill", "reconcile": "reconcile"}
LOOKBACKS = {"0s": timedelta(0), "1h": timedelta(hours=1), "1d": timedelta(days=1)}


def kill_processes(databases: Databases, totals: Totals, rng: random.Random, times: int) -> None:
    """So many kills of commands on one database, and some that may end. Raises AssertionError."""
    with victim(databases, rng) as runner:
        for _ in range(times):
            runner.change_world()
            totals.kills += runner.run_command(rng.choice(tuple(MODES)), kills=True)
            if rng.random() < 0.3:
                runner.change_world()
                runner.run_command(rng.choice(tuple(MODES)), kills=False)
            totals.runs += 1
        for command in ("backfill", "reconcile", "sync"):
            runner.run_command(command, kills=False)


@contextmanager
def victim(databases: Databases, rng: random.Random) -> Iterator["Victim"]:
    """A user's folder with an API, drawn at random."""
    rig = Rig(databases.make(), (rng.randrange(0, 400), rng.randrange(0, 40)))
    try:
        with TemporaryDirectory(prefix="etl-kills-") as folder:
            yield Victim(rig, Path(folder), rng)
    finally:
        rig.close()


class Victim:
    """Runs commands on a rig's database, and kills them."""

    def __init__(self, rig: Rig, folder: Path, rng: random.Random) -> None:
        self.rig = rig
        self.rng = rng
        self.lookback = rng.choice(tuple(LOOKBACKS))
        token = {"GUMLOOP_ACCESS_TOKEN": "sim-token"}
        self.project = Project(folder, token, rig.database.url)
        self.project.configure(
            rig.api.base_url,
            rig.agents,
            api={"page_size": rng.choice((3, 10, 40))},
            sync={"lookback": self.lookback, "walkers": rng.choice(("auto", 1, 2, 4))},
        )

    def change_world(self) -> None:
        """Some changes of any kind, at times many arrivals."""
        some = [self.rng.choice(KINDS) for _ in range(self.rng.randrange(6))]
        some += ["add_now"] * self.rng.choice((0, 0, 30, 90))
        agent = self.rng.choice(self.rig.agents)
        for kind in some:
            self.rig.truth.mutate(agent, kind, self.rng.randrange(60))

    def run_command(self, command: str, *, kills: bool) -> bool:
        """Run a command, or kill it on its way, and audit what it left. True: it was killed."""
        rig = self.rig
        rig.api.latency = self.rng.uniform(0, 0.03)
        rig.seen_requests, rig.hook_error, due = 0, None, threading.Event()
        rig.hooks = {self.rng.randrange(1, 40): self.change_world for _ in range(2)}
        before, started = rig.snapshot(), datetime.now(UTC)
        process = self.project.start(command, "--json")
        if kills:
            self._kill(process, due)
        out, err = process.communicate(timeout=PATIENCE)
        rig.hooks = {}
        if rig.hook_error is not None:
            raise rig.hook_error
        was_killed = process.returncode == -signal.SIGKILL
        done = None if was_killed else checked(Done(process.returncode, out, err))
        self._audit(command, done, before, started)
        return was_killed

    def _kill(self, process: "subprocess.Popen[str]", due: threading.Event) -> None:
        """Strike a moment after a request, or at any moment of the start."""
        at = self.rng.randrange(0, 40)
        pause = self.rng.uniform(0, 0.05) if at else self.rng.uniform(0, 1.2)
        strike: Hook = due.set
        if at:
            self.rig.hooks[at] = strike
            until(lambda: due.is_set() or process.poll() is not None, "the requests")
        time.sleep(pause)
        process.send_signal(signal.SIGKILL)

    def _audit(
        self, command: str, done: Done | None, before: dict[str, Any], started: datetime
    ) -> None:
        ended, after = datetime.now(UTC), self.rig.snapshot()
        options = RunOptions(MODES[command], lookback=LOOKBACKS[self.lookback])  # type: ignore[arg-type]
        reports = {} if done is None else read_reports(done)
        for agent in self.rig.agents:
            report = reports.get(agent)
            assert done is None or report is not None, done
            run = Run(agent, options, report, before, after, started, ended, struck=False)
            self.rig.auditor.check(run)


def read_reports(done: Done) -> dict[str, AgentReport]:
    """What `--json` says of each agent."""
    return {
        one["agent_id"]: AgentReport(
            one["agent_id"],
            one["mode"],
            one["status"],
            Counts(**{name: one[name] for name in COUNTS}),
            one["watermark"] and datetime.fromisoformat(one["watermark"]),
            one["error"],
        )
        for one in done.json["agents"]
    }
