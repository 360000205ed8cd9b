"""`status`: a line per agent."""

import argparse
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from etl.cli.common import ago, iso, load_settings, minute, open_store
from etl.cli.options import add_json_option
from etl.cli.table import print_table, printable
from etl.models import BEGINNING
from etl.planning.drift import name_fields
from etl.urls import lake_address
from etl.wording import count

if TYPE_CHECKING:
    from etl.planning.coverage import Coverage
    from etl.store.lakes import LakeStatus
    from etl.store.read.status import AgentStatus
    from etl.store.store import Store
    from etl.store.write.transcripts import TranscriptCounts

NAME = "status"
HELP = "a line per agent: how far it is stored, how fresh, what went wrong"
STRIP = 20
HEAD = (
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
    """Options."""
    add_json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from etl.clock import utc_now
    from etl.store.read import status

    settings = load_settings(args)
    ids = [agent.id for agent in settings.agents]
    with open_store(settings.database.url) as store:
        ids += [id for id in status.known_agents(store) if id not in ids]
        found = [status.agent_status(store, id, utc_now()) for id in ids]
        tallies = _tallies(store, ids) if settings.sync.transcripts else {}
        kept = lakes_of(store, settings.lake.target)
    show(found, utc_now(), tallies, kept, as_json=args.json)
    return 0


def show(
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
        agents = [_json(one, tallies.get(one.agent_id)) for one in found]
        print(json.dumps({"agents": agents, "lakes": [_lake_json(one) for one in lakes]}, indent=1))
        return
    lines = [_line(one, now) for one in found]
    head = [name for name in HEAD if any(line[name] != "-" for line in lines) or name not in RARE]
    rows = [[line[name] for name in head] for line in lines]
    spare = [name for name in SPARE if name in head]
    shown = print_table(head, rows, elastic=["agent"], spare=spare)
    for column in (name for name in LEGEND if name in shown):
        print(f"{column}: {LEGEND[column]}")
    for one in found:
        if problem := _problem(one, tallies.get(one.agent_id)):
            print(f"! {printable(_label(one))}: {printable(problem)}")
    for lake in lakes:
        print(f"lake {printable(lake.target)}: {_lake_line(lake, now)}")


def lakes_of(store: "Store", target: str | None) -> "list[LakeStatus]":
    """The lakes that the database has fed, and the configured one."""
    from etl.store.lakes import LakeStatus, lakes

    found = lakes(store)
    if target is not None and lake_address(target) not in [lake.target for lake in found]:
        found.append(LakeStatus(lake_address(target)))
    return found


def _lake_line(lake: "LakeStatus", now: datetime) -> str:
    text = f"as of {minute(lake.as_of)}, {ago(lake.as_of, now)}" if lake.as_of else "never whole"
    if lake.error is not None:
        text += f"; failed {ago(lake.failed_at, now)}: {printable(lake.error)}"
    return text


def _lake_json(lake: "LakeStatus") -> dict[str, Any]:
    times = {name: iso(getattr(lake, name)) for name in ("as_of", "finished_at", "failed_at")}
    return {"target": lake.target, **times, "error": lake.error}


def _tallies(store: "Store", ids: list[str]) -> "dict[str, TranscriptCounts]":
    from etl.clock import utc_now
    from etl.store.write.transcripts import count_transcripts

    with store.reading() as connection:
        return {id: count_transcripts(connection, id, utc_now()) for id in ids}


def _line(one: "AgentStatus", now: datetime) -> dict[str, object]:
    """A row of the table, by the names of its columns."""
    run = one.last_run
    last = f"{run.status}, {ago(run.started_at, now)}" if run else "never"
    begin = one.state.history_from or one.oldest
    strip = coverage_strip(one.state.coverage, begin, now, timedelta(days=1), STRIP)
    fresh = "/".join(_percent(count, one.sessions) for count in one.fresh)
    kept, mark = minute(one.state.history_from), minute(one.state.watermark)
    due, stalest = ago(one.next_run_at, now), _stalest(one, now)
    values = (_label(one), one.sessions, one.open_sessions, last, mark, kept, strip, fresh)
    return dict(zip(HEAD, (*values, due, stalest), strict=True))


def _label(one: "AgentStatus") -> str:
    return f"{one.name} ({one.agent_id})" if one.name else one.agent_id


def _percent(part: int, whole: int) -> str:
    """Rounded down: what isn't whole must not look so."""
    return str(100 * part // whole) if whole else "-"


def _problem(one: "AgentStatus", tally: "TranscriptCounts | None") -> str:
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


def _stalest(one: "AgentStatus", now: datetime) -> str:
    """How long ago the rows were proven whose proof is the oldest."""
    if not one.state.coverage:
        return "-"
    worst = min(one.state.coverage, key=lambda span: span.proven_at or BEGINNING)
    return ago(worst.proven_at, now) if worst.proven_at else "unknown"


def coverage_strip(
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


def _json(one: "AgentStatus", tally: "TranscriptCounts | None") -> dict[str, Any]:
    state, last = one.state, one.last_run
    return {
        "agent_id": one.agent_id,
        "name": one.name,
        "watermark": iso(state.watermark),
        "history_from": iso(state.history_from),
        "coverage": [
            {
                "oldest": None if span.oldest == BEGINNING else iso(span.oldest),
                "newest": iso(span.newest),
                "proven_at": iso(span.proven_at),
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
        "last_success_at": iso(state.last_success_at),
        "last_reconciled_at": iso(state.last_reconciled_at),
        "last_run": None
        if last is None
        else {"id": last.id, "mode": last.mode, "status": last.status, "at": iso(last.started_at)},
        "next_run_at": iso(one.next_run_at),
        "last_error": one.last_error,
        "transcripts": tally and tally._asdict(),
    }
