"""`demo`: the whole product in one command, against the bundled simulator. No account needed."""

import argparse
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etl.cli.common import open_store, print_stderr, to_exit_code
from etl.cli.signals import stop_on_signals
from etl.cli.table import print_table
from etl.cli.terminal import ProgressBars
from etl.errors import ConfigError
from etl.invocation import program_name
from etl.wording import count

if TYPE_CHECKING:
    from etl.config import Settings
    from etl.service.runs import Service
    from etl.simulator import Simulator
    from etl.simulator.world.changes import Events

NAME = "demo"
DATABASE: Final = "gumloop-demo.db"
HELP = f"sync from a simulated API into ./{DATABASE} and show what came of it"

SESSIONS: Final = 2000
HOURS: Final = 2
QUESTIONS: Final = {
    "Credits per agent": """
SELECT a.name AS agent, count(*) AS sessions, round(sum(s.credit_cost), 1) AS credits,
       round(100.0 * sum(s.state = 'failed') / count(*), 1) AS "failed %"
FROM sessions s JOIN agents a ON a.id = s.agent_id
GROUP BY a.id ORDER BY credits DESC""",
    "Most active creators": """
SELECT trim(coalesce(c.first_name, '') || ' ' || coalesce(c.last_name, '')) AS creator,
       count(*) AS sessions, round(sum(s.credit_cost), 1) AS credits
FROM sessions s JOIN creators c ON c.id = s.creator_id
GROUP BY c.id ORDER BY sessions DESC LIMIT 5""",
    "What changed since the first run": """
SELECT state, count(*) AS sessions FROM session_states
WHERE run_id > (SELECT max(id) FROM sync_runs WHERE mode = 'backfill')
GROUP BY state ORDER BY sessions DESC""",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database", default=DATABASE, metavar="FILE", help=f"where to ({DATABASE})"
    )


def run(args: argparse.Namespace) -> int:
    """Simulate, backfill, let time pass, sync, look."""
    from etl.credentials import Credentials
    from etl.service import runs
    from etl.simulator import Simulator, World

    file = Path(args.database)
    _remove_old(file)
    begin = datetime.now(UTC) - timedelta(hours=HOURS)
    world = World.generate(agents=3, sessions=SESSIONS, seed=7, now=begin)
    with stop_on_signals() as stop, Simulator(world, latency=0.02) as simulator:
        settings = _make_settings(simulator, file)
        labels = {agent.id: agent.name or agent.id for agent in settings.agents}
        credentials = Credentials(simulator.credentials.token)
        with ProgressBars(labels) as bars:
            opened = runs.open_service(
                settings, stop, credentials=credentials, on_progress=bars.update
            )
            with opened as service:
                code = _run_syncs(service, simulator, bars)
        if code == 0:
            _show_results(file)
    return code


def _run_syncs(service: "Service", simulator: "Simulator", bars: ProgressBars) -> int:
    from etl.cli.sync.modes import print_report
    from etl.service import runs

    agents = list(service.settings.agents)
    print(f"A simulated Gumloop API: {count(len(agents), 'agent')}, {SESSIONS} sessions each.")
    print(f"\n$ {program_name()} backfill", flush=True)
    first = service.sync(agents, runs.run_options(service.settings, "backfill"))
    bars.stop()
    for report in first:
        print_report(report)
    if (status := runs.find_worst_status(first)) == "interrupted":
        return to_exit_code(status)
    events = simulator.world.live(HOURS * 3600)
    print(f"\nTime passes: {HOURS} hours. {_describe_events(events)}")
    print(f"\n$ {program_name()} sync", flush=True)
    second = service.sync(agents, runs.run_options(service.settings, "incremental"))
    for report in second:
        print_report(report)
    return to_exit_code(runs.find_worst_status([*first, *second]))


def _describe_events(events: "Events") -> str:
    added, moved, reopened = events.added, events.moved_on, events.reopened
    begin = f"{count(added, 'session')} {'begins' if added == 1 else 'begin'}"
    move = f"{moved} {'moves' if moved == 1 else 'move'} on"
    return f"{begin}, {move}, {reopened} {'is' if reopened == 1 else 'are'} reopened."


def _show_results(file: Path) -> None:
    import sqlite3

    from etl.cli.look.status import print_status
    from etl.clock import utc_now
    from etl.store.read import status

    with open_store(f"sqlite:///{file}") as store:
        print(f"\n$ {program_name()} status")
        found = [
            status.read_agent_status(store, id, utc_now()) for id in status.list_known_agents(store)
        ]
        print_status(found, utc_now(), as_json=False)
    with closing(sqlite3.connect(file)) as connection:
        for title, sql in QUESTIONS.items():
            cursor = connection.execute(sql)
            print(f"\n{title}:")
            print_table([column[0] for column in cursor.description], cursor.fetchall())
    print(f"\nThe database is {Path.cwd() / file}: open it with any SQLite tool.")
    print(f"Next, with your own account: `{program_name()} init`, then `{program_name()} check`.")


def _make_settings(simulator: "Simulator", file: Path) -> "Settings":
    from etl.input.config_file import convert_tables

    tables = {
        "api": {"base_url": simulator.base_url},
        "database": {"url": f"sqlite:///{file}"},
        "agents": [{"id": a.id, "name": a.name} for a in simulator.world.agents()],
    }
    return convert_tables(tables, "demo")


def _remove_old(file: Path) -> None:
    """Remove the files of an earlier demo. Raises ConfigError for a file that no demo made."""
    hint = f"a demo overwrites {DATABASE} alone; choose another --database"
    if str(file).startswith("file:") or ":/" in str(file) or set("?%") & set(str(file)):
        raise ConfigError(f"{file} is no plain name of a file", "choose another --database")
    if file.exists() and (not file.is_file() or (file.name != DATABASE and file.stat().st_size)):
        raise ConfigError(f"{file} exists already", hint)
    for name in (file, Path(f"{file}-wal"), Path(f"{file}-shm")):
        with suppress(FileNotFoundError):
            name.unlink()
    print_stderr(f"Writing to {file}")
