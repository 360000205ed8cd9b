"""`export`: tables and views as files."""

import argparse
import json
from pathlib import Path
from typing import Any

from etl.cli.common import load_settings
from etl.cli.options import add_json_option, parse_number
from etl.cli.signals import raise_on_signals
from etl.cli.table import print_table
from etl.cli.terminal import ProgressBars
from etl.invocation import require_extra

NAME = "export"
HELP = "tables and views as Parquet or CSV files, of one snapshot"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        default="export",
        metavar="DIR",
        help="a folder for the export alone (default: export)",
    )
    parser.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="NAME",
        help="only this table or view; may be repeated (default: all public ones)",
    )
    parser.add_argument(
        "--format", choices=("parquet", "csv"), default="parquet", help="default: parquet"
    )
    parser.add_argument(
        "--since-run",
        type=parse_number,
        metavar="ID",
        help="only rows changed in or after this run",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="CSV: don't escape cells that a spreadsheet would take for formulas",
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from etl.clock import utc_now

    settings = load_settings(args)
    require_extra("export", "export", "pyarrow")
    from etl.analytics.export.exporter import ExportOptions, export

    output = Path(args.output)
    options = ExportOptions(output, args.format, args.table, args.since_run, args.raw)
    with raise_on_signals(), ProgressBars({}, quiet=args.json) as bars:
        manifest = export(settings.database.url, options, utc_now(), bars.update)
    if args.json:
        print(json.dumps({"output": str(output.absolute())} | manifest, indent=1))
    else:
        print_manifest(output, manifest)
    return 0


def print_manifest(output: Path, manifest: dict[str, Any]) -> None:
    rows = [
        (table["name"], table["rows"], table["files"], "all" if table["whole"] else "changed")
        for table in manifest["tables"]
    ]
    print_table(("table", "rows", "files", "which"), rows)
    print(f"written to {output}")
    if manifest["next_since_run"] is not None:
        print(f"to export only what changes from now on: --since-run {manifest['next_since_run']}")
