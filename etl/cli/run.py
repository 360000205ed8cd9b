"""`run`: the scheduler in the foreground."""

import argparse
import time

from etl.cli.common import settings_of, stopped_by_signals

NAME = "run"
HELP = "sync on schedule, in the foreground, until SIGTERM or SIGINT"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "--migrate", action="store_true", help="upgrade an older database schema first"
    )


def run(args: argparse.Namespace) -> int:
    """Run it; a stop asked for is no failure."""
    import logging

    from etl import scheduler, service

    settings = settings_of(args)
    agents = service.chosen(settings, None)
    scheduler.check_schedule(settings.schedule)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%FT%TZ"
    )
    logging.Formatter.converter = time.gmtime
    for noisy in ("alembic", "apscheduler", "httpcore", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    with stopped_by_signals() as stop:
        with service.opened(settings, stop, migrate_too=args.migrate) as running:
            scheduler.run_scheduler(running, agents, stop)
    return 0
