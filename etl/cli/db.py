"""`db`: schema migrations, and the zone of the views."""

import argparse

from etl.cli.common import settings_of

NAME = "db"
HELP = "schema migrations, and the time zone of the views"


def configure(parser: argparse.ArgumentParser) -> None:
    """Its own commands."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("upgrade", help="bring the schema up to date")
    actions.add_parser("current", help="print the schema's revision")
    down = actions.add_parser("downgrade", help="take the schema back to a revision")
    down.add_argument("revision", help="a revision like 0001, or base for none at all")
    zone = actions.add_parser("timezone", help="set the zone whose days the views show")
    zone.add_argument("name", metavar="NAME", nargs="?", help="as Europe/Berlin; none: print it")


def run(args: argparse.Namespace) -> int:
    """Run it."""
    from etl.store import migrate
    from etl.store.address import shown
    from etl.store.engine import open_engine, told
    from etl.store.reading import require_file

    url = settings_of(args).database.url
    if args.action == "timezone":
        return _timezone(url, args.name)
    if args.action == "current":
        require_file(url)
    engine = open_engine(url)
    with told(url):
        if args.action == "upgrade":
            migrate.upgrade(engine)
        elif args.action == "downgrade":
            migrate.downgrade(engine, args.revision)
        found = migrate.current(engine)
    engine.dispose()
    newest = " (the newest)" if found == migrate.HEAD else ""
    print(f"{shown(url)}: schema {found or 'none'}{newest}")
    return 0


def _timezone(url: str, name: str | None) -> int:
    from etl.store import calendar, migrate
    from etl.store.engine import open_engine, shown, told

    zone = calendar.find_zone(name) if name is not None else None
    engine = open_engine(url)
    with told(url):
        migrate.ensure(engine)
        with engine.begin() as connection:
            if zone is not None:
                calendar.set_time_zone(connection, zone)
            found = calendar.time_zone(connection)
    engine.dispose()
    print(f"{shown(url)}: the views show the days of {found}")
    return 0
