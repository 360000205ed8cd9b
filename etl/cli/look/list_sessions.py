"""`list`: sessions straight from the API. Stores nothing."""

import argparse
import sys
from typing import Any

from etl.cli.common import load_settings, print_stderr
from etl.cli.options import parse_number
from etl.cli.signals import stop_on_signals
from etl.cli.table import print_table
from etl.cli.terminal import open_client
from etl.errors import Denied
from etl.wording import count, did_you_mean

NAME = "list"
HELP = "sessions of one agent straight from the API, every page; stores nothing"
FILTERS = {
    "state": "processing, completed, failed, queued or idle",
    "type": "such as api, web, chat, slack, triggered",
    "creator": "the creator's user id",
    "trigger": "the trigger's id",
    "search": "words in the session",
}
PARAMETERS = {"creator": "creator_user_id", "trigger": "trigger_id"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT", help="the agent's id")
    for name, wants in FILTERS.items():
        parser.add_argument(f"--{name}", help=wants)
    parser.add_argument("--order", default="newest", help="newest (the default) or oldest")
    parser.add_argument("--limit", type=parse_number, metavar="N", help="at most so many sessions")
    parser.add_argument(
        "--json", "--jsonl", action="store_true", help="JSON lines, as the API sent them"
    )


def run(args: argparse.Namespace) -> int:
    """Page through the list until its end, or the limit."""
    settings = load_settings(args)
    given = {PARAMETERS.get(name, name): getattr(args, name) for name in FILTERS}
    filters = {name: value for name, value in given.items() if value}
    configured = {agent.id: agent.name for agent in settings.agents}
    with stop_on_signals() as stop, open_client(settings, stop) as client:
        records = client.each_record(args.agent, args.order, filters, args.limit)
        print_records = _print_lines if args.json else _print_rows
        try:
            print_records(records)
        except Denied as error:
            # An agent that the API doesn't know may be a configured one, mistyped.
            if error.status == 404 and args.agent not in configured:
                error.hint = did_you_mean(args.agent, configured) or error.hint
            raise
    return 0


def _print_lines(records: Any) -> None:
    for record in records:
        sys.stdout.buffer.write(bytes(record) + b"\n")
    sys.stdout.flush()


def _print_rows(records: Any) -> None:
    import msgspec

    from etl.api.decoding.lenient import is_deep
    from etl.api.decoding.wire import UNDECODABLE

    def decode_record(record: bytes) -> Any:
        try:
            decoded = msgspec.json.decode(record)
        except UNDECODABLE:
            return record.decode(errors="replace")
        return record.decode() if is_deep(decoded) else decoded

    rows = [_to_row(decode_record(record)) for record in records]
    head = ("created", "id", "type", "state", "credits", "creator", "name")
    print_table(head, rows, elastic=("creator", "name"), spare=("type", "creator", "credits"))
    print_stderr(count(len(rows), "session"))


def _to_row(record: Any) -> tuple[object, ...]:
    if not isinstance(record, dict):
        return ("?", str(record), "", "", "", "", "")
    parts = (record.get(name) for name in ("creator", "usage"))
    creator, usage = (part if isinstance(part, dict) else {} for part in parts)
    names = (creator.get("first_name"), creator.get("last_name"))
    who = " ".join(str(name) for name in names if name) or creator.get("id") or "-"
    cost = usage.get("credit_cost")
    keys = ("created_at", "id", "type", "state", "name")
    *fields, name = (record.get(key) or "-" for key in keys)
    return (*fields, "-" if cost is None else cost, who, name)
