"""`search`: messages by their words."""

import argparse
import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

from etl.cli.common import find_agents, load_settings, open_store, print_stderr
from etl.cli.options import add_agent_option, add_json_option, parse_number
from etl.cli.table import NARROWEST, make_printable, print_table
from etl.cli.times import to_iso, to_minute

if TYPE_CHECKING:
    from etl.planning.search_terms import Snippet
    from etl.store.read.search import Hit

NAME = "search"
HELP = "messages that hold all these words, the newest first (needs [sync] transcripts)"
SNIPPET_WIDTH = 80
OTHER_COLUMNS = 60
"""What a terminal needs for them, about."""

COLUMNS = ("date", "agent", "session", "name", "role", "text")
ELASTIC, SPARE = ("agent", "name", "text"), ("role", "agent", "session")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORDS", nargs="+", help="words; in quotes: a phrase")
    add_agent_option(parser, "only this agent's")
    parser.add_argument(
        "--since",
        metavar="WHEN",
        help="no older ones: a date, an ISO time, or how long ago, like 30d",
    )
    parser.add_argument(
        "--limit", type=parse_number, default=20, metavar="N", help="how many (default: 20)"
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Search what is stored; asks the API nothing."""
    from etl.input.instants import parse_instant
    from etl.planning.search_terms import find_snippet, parse_phrases
    from etl.store.read.search import search

    settings, phrases = load_settings(args), parse_phrases(args.words)
    since = parse_instant(args.since) if args.since else None
    hits: list[Hit] = []
    with open_store(settings.database.url) as store:
        agents = args.agent and find_agents(store, args.agent)
        if phrases:
            with store.connect() as connection:
                hits = search(connection, phrases, args.limit, agents, since)
    width = SNIPPET_WIDTH
    if sys.stdout.isatty() and not args.json:
        width = min(width, max(NARROWEST, shutil.get_terminal_size().columns - OTHER_COLUMNS))
    found = [(hit, find_snippet(hit.text, phrases, width)) for hit in hits]
    if args.json:
        print(json.dumps({"hits": [_to_json(*one) for one in found]}, indent=1))
    elif found:
        print_table(COLUMNS, [_to_row(*one) for one in found], elastic=ELASTIC, spare=SPARE)
    else:
        reason = "no message holds that" if phrases else "there is no word in that"
        off = "; transcripts are off: [sync] transcripts = true stores them"
        print_stderr(reason if settings.sync.transcripts else reason + off)
    return 0


def _to_row(hit: "Hit", snippet: "Snippet") -> tuple[object, ...]:
    from rich.text import Text

    text, begin, end = snippet
    marked = Text(make_printable(text))
    marked.stylize("bold reverse", begin, end)
    agent, name = hit.agent_name or hit.agent_id, hit.session_name or "-"
    return (to_minute(hit.at), agent, hit.session_id, name, hit.role or "-", marked)


def _to_json(hit: "Hit", snippet: "Snippet") -> dict[str, Any]:
    return {
        "at": to_iso(hit.at),
        "agent_id": hit.agent_id,
        "agent": hit.agent_name,
        "session_id": hit.session_id,
        "name": hit.session_name,
        "position": hit.position,
        "message_id": hit.message_id,
        "role": hit.role,
        "snippet": snippet.text,
        "hit": [snippet.begin, snippet.end],
    }
