"""What `sync`, `backfill` and `reconcile` share."""

import argparse
from typing import TYPE_CHECKING

from etl.cli.common import load_settings, print_stderr, report_json, to_exit_code
from etl.cli.options import add_agent_option, add_json_option, add_migrate_option, parse_number
from etl.cli.signals import stop_on_signals
from etl.cli.terminal import ProgressBars, note_waits
from etl.cli.times import to_second
from etl.errors import EtlError
from etl.models import AgentReport, Mode, Transcripts
from etl.wording import count

if TYPE_CHECKING:
    from etl.service.runs import Service
    from etl.sync.discovery import AgentSelection


def configure(parser: argparse.ArgumentParser, *, walks: bool = True) -> None:
    add_agent_option(parser, "only this agent (may be repeated)")
    add_json_option(parser)
    if walks:
        parser.add_argument(
            "--walkers",
            type=parse_number,
            metavar="N",
            help="walks side by side, per agent (default: sync.walkers)",
        )
    add_migrate_option(parser)


def run_mode(args: argparse.Namespace, mode: Mode, **changes: object) -> int:
    """Run one mode over the chosen agents, and print how it went."""
    from etl.service import runs

    settings = load_settings(args)
    if not settings.discovery.on:
        runs.select_agents(settings, args.agent)
    if args.walkers is not None:
        changes["walkers"] = args.walkers
    options = runs.run_options(settings, mode, **changes)
    labels: dict[str, str] = {}
    # With --restart it would begin anew.
    resumes = "" if options.restart else "; the same command goes on from there"
    stopping = f"stopping: saving the page at hand{resumes}"
    signals = stop_on_signals(lambda: print_stderr(stopping))
    with signals as stop, ProgressBars(labels, quiet=args.json) as bars:
        with runs.open_service(
            settings,
            stop,
            migrate_too=args.migrate,
            on_progress=bars.update,
            on_message=print_stderr,
            observe=note_waits(bars.print),
        ) as service:
            selection = service.discover_agents(args.agent)
            labels |= {agent.id: agent.name or agent.id for agent in selection.agents}
            print_discovery(selection)
            reports = service.sync(selection.agents, options)
            pruned = stop.is_set() or _prune(service)
    status = runs.find_worst_status(reports, incomplete=bool(selection.failures))
    if args.json:
        print(report_json(reports, status, selection.failures, selection.warnings))
    else:
        for report in reports:
            print_report(report)
    return to_exit_code(status) or int(not pruned)


def _prune(service: "Service") -> bool:
    """Delete what is past the ages of `[retention]`. Returns whether it succeeded."""
    try:
        service.prune()
    except EtlError as error:
        print_stderr(f"error: retention: {error}")
        return False
    return True


def print_discovery(selection: "AgentSelection") -> None:
    """Print what went wrong in looking for agents on stderr."""
    for warning in selection.warnings:
        print_stderr(f"warning: discovery: {warning}")
    for failure in selection.failures:
        print_stderr(f"error: discovery: {failure}")
    if selection.failures:
        print_stderr("going on with the agents known so far")
    elif not selection.agents:
        print_stderr("warning: discovery: there is no agent to sync")


def print_report(report: AgentReport) -> None:
    """Print a run of one agent in a line; what is wrong goes to stderr."""
    c = report.counts
    found = f"{c.inserted} new, {c.updated} changed, {c.unchanged} unchanged"
    cost = f"{count(c.pages, 'page')}, {count(c.requests, 'request')}"
    extra = f", {c.repeated} seen again" if c.repeated else ""
    extra += f", {c.missing} missing" if c.missing else ""
    mark = f"watermark {to_second(report.watermark)}"
    print(f"{report.agent_id}: {report.mode} {report.status}: {found}{extra} ({cost}), {mark}")
    if report.transcripts is not None:
        _print_transcripts(report.agent_id, report.transcripts)
    if c.rejected:
        print_stderr(f"warning: {report.agent_id}: {count(c.rejected, 'record')} set aside")
    if c.partial:
        said = f"{count(c.partial, 'record')} stored without fields that could not be read"
        print_stderr(f"warning: {report.agent_id}: {said}")
    for warning in report.warnings:
        print_stderr(f"warning: {report.agent_id}: {warning}")
    if report.error:
        print_stderr(f"error: {report.agent_id}: {report.error}")


def _print_transcripts(agent_id: str, done: Transcripts) -> None:
    found = f"{done.fetched} retrieved, {done.changed} of them new or changed"
    print(f"{agent_id}: transcripts: {found}, {done.failed} failed, {done.left} left")
    if done.error:
        hint = "the next run goes on"
        print_stderr(f"warning: {agent_id}: transcripts: {done.error}; {hint}")
