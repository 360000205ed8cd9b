"""`runs`: what happened lately."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from etl.cli.common import find_agents, load_settings, open_store
from etl.cli.options import add_agent_option, add_json_option, parse_number
from etl.cli.table import print_table
from etl.cli.times import to_iso, to_second

NAME = "runs"
HELP = "the recent runs"
SPARE = ("pages", "seen", "requests", "unchanged", "took", "mode")
COUNTS = ("requests", "pages", "seen", "inserted", "updated", "unchanged")


def configure(parser: argparse.ArgumentParser) -> None:
    add_agent_option(parser, "only this agent's")
    parser.add_argument(
        "--limit", type=parse_number, default=20, metavar="N", help="how many (default: 20)"
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from etl.store.read import status

    with open_store(load_settings(args).database.url) as store:
        agents = args.agent and find_agents(store, args.agent)
        rows = status.list_recent_runs(store, agents, args.limit)
    if args.json:
        # All that json doesn't know are times.
        print(json.dumps({"runs": rows}, indent=1, default=to_iso))
    else:
        head = ("started", "took", "agent", "mode", "status", *COUNTS, "error")
        print_table(head, [_to_row(row) for row in rows], elastic=("agent", "error"), spare=SPARE)
    return 0


def _to_row(row: Mapping[str, Any]) -> tuple[object, ...]:
    started, finished = row["started_at"], row["finished_at"]
    took = f"{(finished - started).total_seconds():.1f}s" if finished else "-"
    cells = (row[name] for name in ("agent_id", "mode", "status", *COUNTS))
    return (to_second(started), took, *cells, row["error"] or "")
