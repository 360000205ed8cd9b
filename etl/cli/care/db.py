"""`db`: schema migrations, the zone of the views, and what is to be deleted."""

import argparse
from typing import TYPE_CHECKING

from etl.cli.common import confirm, load_settings, open_store, print_stderr
from etl.wording import count

if TYPE_CHECKING:
    from etl.config import Settings

NAME = "db"
HELP = "schema migrations, the time zone of the views, and old or erased data"
ACTIONS = {
    "upgrade": "bring the schema up to date",
    "current": "print the schema's revision",
    "downgrade": "take the schema back to a revision; the data of later ones is lost",
    "prune": "delete what is past the ages of [retention]",
    "compact": "take what was deleted out of the files",
    "timezone": "set the zone whose days the views show",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions, which are commands of their own."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION")
    for name, what in ACTIONS.items():
        actions.add_parser(name, help=what, description=what)
    down, zone = actions.choices["downgrade"], actions.choices["timezone"]
    down.add_argument("revision", help="a revision like 0001, or base: no table, no data")
    down.add_argument("--yes", action="store_true", help="don't ask")
    zone.add_argument(
        "name",
        metavar="NAME",
        nargs="?",
        help="such as Europe/Berlin; without it the zone is only printed",
    )
    parser.set_defaults(run=None)
    for action in actions.choices.values():
        action.set_defaults(run=run, parser=action)


def run(args: argparse.Namespace) -> int:
    from etl.store.read.status import require_file
    from etl.store.schema import migrate
    from etl.store.schema.engine import open_temporary_engine
    from etl.store.schema.url import mask_password

    settings = load_settings(args)
    url = settings.database.url
    if args.action == "timezone":
        return _set_time_zone(url, args.name)
    if args.action == "prune":
        return _prune(settings)
    if args.action == "compact":
        return _compact(url)
    if args.action != "upgrade":
        require_file(url)
    if args.action == "downgrade" and not args.yes and not confirm(_describe_loss(args.revision)):
        print_stderr("nothing was changed")
        return 1
    with open_temporary_engine(url) as engine:
        if args.action == "upgrade":
            migrate.upgrade(engine)
        elif args.action == "downgrade":
            migrate.downgrade(engine, args.revision)
        found = migrate.read_revision(engine)
    newest = " (the newest)" if found == migrate.HEAD else ""
    print(f"{mask_password(url)}: schema {found or 'none'}{newest}")
    return 0


def _describe_loss(revision: str) -> str:
    if revision == "base":
        return "Drop every table with all that is stored?"
    return f"Delete all data that schema {revision} can't hold?"


def _prune(settings: "Settings") -> int:
    from etl.clock import utc_now
    from etl.store.privacy.retention import prune

    with open_store(settings.database.url) as store:
        done = prune(store, settings.retention, utc_now())
    counts = {"transcript": done.transcripts, "payload": done.payloads, "run": done.runs}
    found = ", ".join(count(number, noun) for noun, number in counts.items())
    print(f"{store.shown_url}: deleted {found}")
    return 0


def _compact(url: str) -> int:
    from etl.store.privacy.compact import compact

    with open_store(url) as store:
        compact(store)
    print(f"{store.shown_url}: what was deleted is out of its files")
    return 0


def _set_time_zone(url: str, name: str | None) -> int:
    from etl.input.time_zones import find_zone
    from etl.store.schema import calendar, migrate
    from etl.store.schema.engine import open_temporary_engine
    from etl.store.schema.url import mask_password

    if name is None:
        with open_store(url) as store, store.connect() as connection:
            found = calendar.read_time_zone(connection)
    else:
        zone = find_zone(name)
        with open_temporary_engine(url) as engine:
            migrate.ensure(engine)
            with engine.begin() as connection:
                calendar.set_time_zone(connection, zone)
                found = calendar.read_time_zone(connection)
    print(f"{mask_password(url)}: the views show the days of {found}")
    return 0
