"""`backfill`: all history, or a part of it."""

import argparse

from etl.cli.common import load_settings
from etl.cli.sync import modes
from etl.errors import ConfigError

NAME = "backfill"
HELP = "all history, or from --since to --until; goes on where an interrupted one stopped"


def configure(parser: argparse.ArgumentParser) -> None:
    modes.configure(parser)
    when = "a date or an ISO time (UTC), or how long ago, like 30d"
    parser.add_argument("--since", metavar="WHEN", help=f"where to begin: {when}")
    parser.add_argument("--until", metavar="WHEN", help=f"where to end: {when}")
    parser.add_argument("--restart", action="store_true", help="walk it all again")


def run(args: argparse.Namespace) -> int:
    from etl.input.instants import parse_instant, read_history_from, require_past

    since = require_past(parse_instant(args.since)) if args.since else None
    until = parse_instant(args.until) if args.until else None
    since = since or read_history_from(load_settings(args))
    if since and until and since >= until:
        where = "--since" if args.since else "sync.since"
        raise ConfigError(f"{where} must lie before --until", "name an earlier --since")
    return modes.run_mode(args, "backfill", since=since, until=until, restart=args.restart)
