"""`status`: a line per agent."""

import argparse
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.cli.common import load_settings, open_store
from etl.cli.options import add_json_option
from etl.cli.table import make_printable, print_table
from etl.cli.times import format_age, to_iso, to_minute
from etl.models import BEGINNING
from etl.planning.drift import name_fields
from etl.urls import normalize_address
from etl.wording import count

if TYPE_CHECKING:
    from etl.planning.coverage import Coverage
    from etl.store.lakes import LakeStatus
    from etl.store.read.status import AgentStatus
    from etl.store.store import Store
    from etl.store.write.transcripts import TranscriptCounts

NAME = "status"
HELP = "a line per agent: how far it is stored, how fresh, what went wrong"
STRIP_WIDTH = 20
COLUMNS = (
    "agent",
    "sessions",
    "open",
    "last run",
    "watermark",
    "kept since",
    "coverage",
    "fresh %",
    "next run",
    "stalest",
)
LEGEND = {
    "coverage": "oldest to newest: # proven within a day, + older, . never",
    "fresh %": "known to be as the API had them within 15 minutes / a day / a week",
}
RARE = ("kept since", "next run")
"""Shown only where an agent has one: a bound of its history, a scheduler at work."""

SPARE = ("stalest", "next run", "fresh %", "coverage", "kept since", "open")


def configure(parser: argparse.ArgumentParser) -> None:
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    from etl.clock import utc_now
    from etl.store.read import status
    from etl.store.write.transcripts import count_transcripts

    settings = load_settings(args)
    ids = [agent.id for agent in settings.agents]
    with open_store(settings.database.url) as store:
        ids += [id for id in status.list_known_agents(store) if id not in ids]
        found = [status.read_agent_status(store, id, utc_now()) for id in ids]
        tallies = {}
        if settings.sync.transcripts:
            with store.connect() as connection:
                tallies = {id: count_transcripts(connection, id, utc_now()) for id in ids}
        fed = list_lakes(store, settings.lake.target)
    print_status(found, utc_now(), tallies, fed, as_json=args.json)
    return 0


def print_status(
    found: "list[AgentStatus]",
    now: datetime,
    tallies: "dict[str, TranscriptCounts] | None" = None,
    lakes: "Sequence[LakeStatus]" = (),
    *,
    as_json: bool,
) -> None:
    """Print the status of these agents; `tallies` are of their transcripts, if any are kept.

    `lakes` are those that the database feeds.
    """
    tallies = tallies or {}
    if as_json:
        agents = [_agent_to_json(one, tallies.get(one.agent_id)) for one in found]
        fed = [_lake_to_json(one) for one in lakes]
        print(json.dumps({"agents": agents, "lakes": fed}, indent=1))
        return
    lines = [_to_row(one, now) for one in found]
    head = [n for n in COLUMNS if any(line[n] != "-" for line in lines) or n not in RARE]
    rows = [[line[name] for name in head] for line in lines]
    spare = [name for name in SPARE if name in head]
    shown = print_table(head, rows, elastic=["agent"], spare=spare)
    for column in (name for name in LEGEND if name in shown):
        print(f"{column}: {LEGEND[column]}")
    for one in found:
        if problem := _describe_problem(one, tallies.get(one.agent_id)):
            print(f"! {make_printable(_label_agent(one))}: {make_printable(problem)}")
    for lake in lakes:
        print(f"lake {make_printable(lake.target)}: {_format_lake(lake, now)}")


def list_lakes(store: "Store", target: str | None) -> "list[LakeStatus]":
    """The lakes that the database has fed, and the configured one."""
    from etl.store.lakes import LakeStatus, list_lakes

    found = list_lakes(store)
    if target is not None and normalize_address(target) not in [lake.target for lake in found]:
        found.append(LakeStatus(normalize_address(target)))
    return found


def _format_lake(lake: "LakeStatus", now: datetime) -> str:
    text = "never whole"
    if lake.as_of is not None:
        text = f"as of {to_minute(lake.as_of)}, {format_age(lake.as_of, now)}"
    if lake.error is not None:
        text += f"; failed {format_age(lake.failed_at, now)}: {make_printable(lake.error)}"
    return text


def _lake_to_json(lake: "LakeStatus") -> dict[str, Any]:
    times = {name: to_iso(getattr(lake, name)) for name in ("as_of", "finished_at", "failed_at")}
    return {"target": lake.target, **times, "error": lake.error}


def _to_row(one: "AgentStatus", now: datetime) -> dict[str, object]:
    """A row of the table, by the names of its columns."""
    run = one.last_run
    last = f"{run.status}, {format_age(run.started_at, now)}" if run else "never"
    begin = one.state.history_from or one.oldest
    strip = draw_coverage(one.state.coverage, begin, now, timedelta(days=1), STRIP_WIDTH)
    if not any(span.oldest <= one.state.floor for span in one.state.coverage):
        # What is older than all that is stored is not known yet.
        strip = "." + strip[1:]
    # Rounded down: what isn't whole must not look so.
    percents = [100 * rows // one.sessions if one.sessions else "-" for rows in one.fresh]
    fresh = "/".join(map(str, percents))
    kept, mark = to_minute(one.state.history_from), to_minute(one.state.watermark)
    due, stalest = format_age(one.next_run_at, now), _format_stalest(one, now)
    values = (_label_agent(one), one.sessions, one.open_sessions, last, mark, kept, strip, fresh)
    return dict(zip(COLUMNS, (*values, due, stalest), strict=True))


def _label_agent(one: "AgentStatus") -> str:
    return f"{one.name} ({one.agent_id})" if one.name else one.agent_id


def _describe_problem(one: "AgentStatus", tally: "TranscriptCounts | None") -> str:
    unread = one.unread
    parts = [f"{count(unread.rejected, 'record')} set aside"] if unread.rejected else []
    if unread.partial:
        lacking = count(unread.partial, "session")
        parts.append(f"{lacking} stored without fields: {name_fields(unread.fields)}")
    parts += [f"{count(one.missing, 'session')} missing"] if one.missing else []
    if tally is not None:
        parts += [f"{count(tally.left, 'transcript')} to come"] if tally.left else []
        parts += [f"{count(tally.failed, 'transcript')} failed"] if tally.failed else []
    if one.last_run is not None and one.last_run.error:
        parts.append(one.last_run.error)
    return "; ".join(parts)


def _format_stalest(one: "AgentStatus", now: datetime) -> str:
    """How long ago the rows were proven whose proof is the oldest."""
    if not one.state.coverage:
        return "-"
    worst = min(one.state.coverage, key=lambda span: span.proven_at or BEGINNING)
    return format_age(worst.proven_at, now) if worst.proven_at else "unknown"


def draw_coverage(
    coverage: "Coverage", begin: datetime | None, now: datetime, fresh: timedelta, width: int
) -> str:
    """The time from the oldest session to now as characters: proven, old, never seen."""
    begin = min(begin or now, now - timedelta(seconds=1))
    step = (now - begin) / width
    return "".join(_mark(coverage, begin + step * (i + 0.5), now - fresh) for i in range(width))


def _mark(coverage: "Coverage", at: datetime, fresh_from: datetime) -> str:
    for span in coverage:
        if span.oldest <= at < span.newest:
            return "#" if span.proven_at is not None and span.proven_at >= fresh_from else "+"
    return "."


def _agent_to_json(one: "AgentStatus", tally: "TranscriptCounts | None") -> dict[str, Any]:
    state, last, run = one.state, one.last_run, None
    if last is not None:
        run = {"id": last.id, "mode": last.mode, "status": last.status}
        run["at"] = to_iso(last.started_at)
    return {
        "agent_id": one.agent_id,
        "name": one.name,
        "watermark": to_iso(state.watermark),
        "history_from": to_iso(state.history_from),
        "coverage": [
            {
                "oldest": None if span.oldest == BEGINNING else to_iso(span.oldest),
                "newest": to_iso(span.newest),
                "proven_at": to_iso(span.proven_at),
            }
            for span in state.coverage
        ],
        "sessions": one.sessions,
        "open_sessions": one.open_sessions,
        "fresh": dict(zip(("15m", "1d", "7d"), one.fresh, strict=True)),
        "missing": one.missing,
        "rejected": one.unread.rejected,
        "partial": one.unread.partial,
        "unread_fields": one.unread.fields,
        "last_success_at": to_iso(state.last_success_at),
        "last_reconciled_at": to_iso(state.last_reconciled_at),
        "last_run": run,
        "next_run_at": to_iso(one.next_run_at),
        "last_error": one.last_error,
        "transcripts": tally and tally._asdict(),
    }
