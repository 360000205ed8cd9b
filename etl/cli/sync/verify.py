"""`verify`: a spot check of what is stored."""

import argparse
import json
from typing import TYPE_CHECKING

from etl.cli.common import load_settings, print_stderr, to_exit_code
from etl.cli.options import parse_number
from etl.cli.signals import stop_on_signals
from etl.cli.sync import modes
from etl.cli.terminal import note_waits
from etl.wording import count

if TYPE_CHECKING:
    from etl.models import AgentReport
    from etl.sync.verify import SampleResult

NAME = "verify"
HELP = "retrieve stored sessions at random, repair what differs, and say what that proves"
SAMPLE_SIZE = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    modes.configure(parser, walks=False)
    parser.add_argument(
        "--sample",
        type=parse_number,
        default=SAMPLE_SIZE,
        metavar="N",
        help=f"sessions per agent (default: {SAMPLE_SIZE})",
    )


def run(args: argparse.Namespace) -> int:
    from etl.service import runs
    from etl.store.read import status

    settings = load_settings(args)
    status.require_file(settings.database.url)
    if not settings.discovery.on:
        runs.select_agents(settings, args.agent)
    with stop_on_signals() as stop:
        opened = runs.open_service(settings, stop, migrate_too=args.migrate, observe=note_waits())
        with opened as service:
            selection = service.discover_agents(args.agent)
            modes.print_discovery(selection)
            results = [service.verify_agent(agent, args.sample) for agent in selection.agents]
    reports = [report for report, _ in results]
    worst = runs.find_worst_status(reports, incomplete=bool(selection.failures))
    if args.json:
        shown = [_to_json(report, sample) for report, sample in results]
        print(json.dumps({"status": worst, "agents": shown}, indent=1))
    else:
        for report, sample in results:
            if sample is not None:
                print(_describe_sample(report.agent_id, sample))
            for warning in report.warnings:
                print_stderr(f"warning: {report.agent_id}: {warning}")
            if report.error:
                print_stderr(f"error: {report.agent_id}: {report.error}")
    return to_exit_code(worst)


def _describe_sample(agent_id: str, sample: "SampleResult") -> str:
    were, are = ("was" if sample.wrong == 1 else "were"), ("is" if sample.gone == 1 else "are")
    wrong = f"{sample.wrong} differed and {were} repaired" if sample.wrong else "none differed"
    gone = f", {sample.gone} {are} gone" if sample.gone else ""
    if sample.sampled >= sample.stored:
        conclusion = "that was all of them"
    else:
        conclusion = (
            f"with 95 % confidence fewer than {sample.bound:.1%} of {sample.stored} rows "
            "differed in state, usage or creator"
        )
    return f"{agent_id}: looked at {count(sample.sampled, 'session')}: {wrong}{gone}; {conclusion}"


def _to_json(report: "AgentReport", sample: "SampleResult | None") -> dict[str, object]:
    head: dict[str, object] = {
        "agent_id": report.agent_id,
        "status": report.status,
        "error": report.error,
    }
    if sample is None:
        return head
    names = ("stored", "sampled", "wrong", "gone", "bound")
    return head | {name: getattr(sample, name) for name in names}
