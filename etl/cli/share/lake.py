"""`lake`: Delta tables on a folder or an object store that follow the database."""

import argparse
import json
from typing import TYPE_CHECKING

from etl.cli.common import load_settings, open_store, print_stderr
from etl.cli.options import add_json_option
from etl.cli.signals import raise_on_signals
from etl.cli.table import print_table
from etl.cli.terminal import ProgressBars
from etl.cli.times import to_iso, to_second
from etl.errors import ConfigError
from etl.invocation import program_name, require_extra
from etl.urls import check_lake_target

if TYPE_CHECKING:
    from etl.analytics.lake.run import LakeReport

NAME = "lake"
HELP = "Delta tables on a folder or an object store, made equal to the database"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="a folder, or an address that begins with s3://, gs:// or abfss:// ([lake] target)",
    )
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="go on with a lake that another database has fed so far",
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Carry over what has changed, and say what it was."""
    from etl.credentials import read_salt
    from etl.privacy import make_rules
    from etl.store.privacy.rules_change import RULES_CHANGED, apply_rules_change

    settings = load_settings(args)
    target = args.target or settings.lake.target
    if not target:
        hint = f"name a folder or a bucket: `{program_name()} lake ./lake`, or [lake] target"
        raise ConfigError("there is no address for the lake", hint)
    check_lake_target(target, "TARGET" if args.target else "lake.target")
    require_extra("lake", "lake", "deltalake", "pyarrow")
    from etl.analytics.lake.run import update_lake

    rules = make_rules(settings.privacy, read_salt())
    with open_store(settings.database.url, rules) as store:
        # What [privacy] forbids must not reach a lake either.
        if apply_rules_change(store):
            print_stderr(RULES_CHANGED)
        with raise_on_signals(), ProgressBars({}, quiet=args.json) as bars:
            report = update_lake(store, target, take_over=args.take_over, on_progress=bars.update)
    if args.json:
        tables = [table._asdict() for table in report.tables]
        fields = {"target": report.target, "as_of": to_iso(report.as_of), "tables": tables}
        print(json.dumps(fields, indent=1))
    else:
        print_lake_report(report)
    return 0


def print_lake_report(report: "LakeReport") -> None:
    head = ("table", "rows", "inserted", "updated", "deleted", "files")
    rows = [
        (one.name, one.rows, one.inserted, one.updated, one.deleted, one.files)
        for one in report.tables
    ]
    print_table(head, rows)
    for one in report.tables:
        if one.unfit:
            print(f"! {one.name}: {one.unfit} numbers of 30 digits or more are null in the lake")
    print(f"{report.target} shows the database as of {to_second(report.as_of)}")
