"""`report`: one HTML file that shows what the database holds of a range."""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from etl.cli.common import find_agents, load_settings, open_store, print_stderr
from etl.cli.options import add_agent_option
from etl.cli.signals import raise_on_signals
from etl.errors import NO_ROOM, ConfigError, EtlError
from etl.invocation import require_extra

if TYPE_CHECKING:
    from etl.analytics.figures.period import Period
    from etl.store.store import Store

NAME = "report"
HELP = "write one self-contained HTML file with figures and charts of a range"
CALENDAR_MARGIN: Final = timedelta(days=400)
"""Left free at both ends of the calendar, for what lies before a range and for time zones."""


def configure(parser: argparse.ArgumentParser) -> None:
    when = "a date or an ISO time (in --timezone), or how long ago, like 30d"
    parser.add_argument("--output", required=True, metavar="FILE", help="where to; - is stdout")
    parser.add_argument(
        "--since", metavar="WHEN", help=f"begin: {when} (default: 30 days, with today)"
    )
    parser.add_argument("--until", metavar="WHEN", help=f"end: {when} (default: now)")
    add_agent_option(parser, "only this agent's sessions")
    parser.add_argument(
        "--timezone", default="UTC", metavar="ZONE", help="whose days: like Europe/Vienna (UTC)"
    )


def run(args: argparse.Namespace) -> int:
    from etl.clock import utc_now
    from etl.input.time_zones import find_zone

    now, zone = utc_now(), find_zone(args.timezone)
    period = _parse_period(args, zone, now)
    settings = load_settings(args)
    _check_output(args.output)
    require_extra("report", "the report", "altair", "vl_convert", "jinja2")
    with open_store(settings.database.url) as store:
        page = _render_page(store, args, period, zone, now)
    with raise_on_signals():
        _write_page(args.output, page)
    return 0


def _render_page(
    store: "Store", args: argparse.Namespace, period: "Period", zone: tzinfo, now: datetime
) -> str:
    from etl.analytics.report.load_figures import ReportOptions, load_figures
    from etl.analytics.report.page import render

    options = ReportOptions(find_agents(store, args.agent), period, zone, args.timezone, now)
    return render(load_figures(store, options))


def _parse_period(args: argparse.Namespace, zone: tzinfo, now: datetime) -> "Period":
    from etl.analytics.figures.period import Period, find_default_since
    from etl.input.instants import parse_instant

    first = datetime.min.replace(tzinfo=UTC) + CALENDAR_MARGIN
    last = datetime.max.replace(tzinfo=UTC) - CALENDAR_MARGIN
    until = parse_instant(args.until, now, zone) if args.until else now
    until = min(max(until, first), last)
    since = parse_instant(args.since, now, zone) if args.since else None
    since = max(since or find_default_since(until, zone), first)
    if since >= until:
        raise ConfigError("--since must lie before --until", "without --until the report ends now")
    return Period(since, until)


def _check_output(output: str) -> None:
    """Raise ConfigError before the work if the page could not be written afterwards."""
    path = Path(output)
    if output == "-":
        return
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "--output wants the name of a file")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a regular file", "--output - prints to stdout")
    if path.exists() and not _may_be_replaced(path):
        raise ConfigError(f"{path} is no report", "only a report is replaced; choose another")
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent}", "make it, or choose another")


def _may_be_replaced(path: Path) -> bool:
    """Whether a file is empty, or a page: not the database, by a slip of the hand."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError:
        return True
    return not start or start.startswith((b"<!doctype html", b"<html"))


def _write_page(output: str, page: str) -> None:
    """Write the whole page or nothing: no reader ever sees half of one."""
    import tempfile

    data = page.encode("utf-8", "replace")
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(output).resolve()
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".report-", delete=False) as file:
            made = Path(file.name)
            try:
                file.write(data)
                file.flush()
                made.chmod(_choose_mode(path))
                made.replace(path)
            except BaseException:
                made.unlink(missing_ok=True)
                raise
    except OSError as error:
        message = f"{path} can't be written: {error.strerror}"
        if error.errno in NO_ROOM:
            raise EtlError(message, "make room, or choose another place") from None
        raise ConfigError(message, "choose another") from None
    print_stderr(f"wrote {path} ({len(data) / 1e6:.1f} MB)")


def _choose_mode(path: Path) -> int:
    """The rights of the file that is replaced, else those that any new file gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
