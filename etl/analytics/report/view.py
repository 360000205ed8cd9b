"""Everything but the charts as the template shows it: texts, in the order of the page."""

from typing import Any, Final, NamedTuple

from etl.analytics.figures import shape
from etl.analytics.figures.shape import Tally
from etl.analytics.figures.words import (
    format_change,
    format_compact,
    format_count,
    format_credits,
    format_percent,
    format_points,
    format_seconds,
)
from etl.analytics.report.data_quality import describe_freshness, list_warnings
from etl.analytics.report.figure_queries import TopSession
from etl.analytics.report.formatting import Formatter, label_creator, shorten
from etl.analytics.report.health_queries import Health
from etl.analytics.report.load_figures import Figures, Totals
from etl.models import BEGINNING

MOST_AGENTS: Final = 50
"""Agents in a table of agents."""


class Tile(NamedTuple):
    """A headline figure, how it moved, and what it was before."""

    name: str
    value: str
    change: str = ""
    note: str = ""


def make_view(figures: Figures) -> dict[str, Any]:
    """Put the figures into words, under the names that the template knows."""
    viewer, options = Formatter(figures), figures.options
    ranked = shape.rank_agents(figures.now.agents)
    worst_first = sorted(figures.health, key=lambda one: (one.as_of or BEGINNING, one.agent_id))
    return {
        "title": viewer.format_span(*options.period),
        "scope": _describe_scope(viewer),
        "clock": options.zone_name,
        "compared": viewer.format_span(*figures.period_before) if figures.period_before else "",
        "freshness": describe_freshness(viewer),
        "warnings": list_warnings(viewer),
        "tiles": _make_tiles(figures.now, figures.before),
        "agents": [_format_agent(viewer, id, rank) for rank, id in enumerate(ranked[:MOST_AGENTS])],
        "more_agents": max(0, len(ranked) - MOST_AGENTS),
        "creators": _format_creators(figures),
        "slowest": [_format_session(viewer, one) for one in figures.settling.slowest],
        "costliest": [_format_session(viewer, one) for one in figures.costliest],
        "settled": format_count(figures.settling.observed),
        "health": [_format_health(viewer, one) for one in worst_first[:MOST_AGENTS]],
        "runs": [_format_run(viewer, run) for run in figures.runs],
        "empty": not figures.now.tally.sessions,
    }


def _describe_scope(viewer: Formatter) -> str:
    ids = viewer.figures.options.agents
    if len(ids) == 1:
        return viewer.labels[ids[0]]
    return f"{len(ids)} agents" if ids else "no agents"


def _make_tiles(now: Totals, before: Totals | None) -> list[Tile]:
    then, creators = (before.tally, before.creators) if before else (None, None)
    rate, rate_then = now.tally.failure_rate, then.failure_rate if then else None
    return [
        _make_tile("Sessions", now.tally.sessions, then and then.sessions, format_count),
        _make_tile("Credits", now.tally.credits, then and then.credits, format_credits),
        _make_tile("Credits per session", now.tally.each, then and then.each, format_credits),
        _make_tile("Tokens", now.tally.tokens, then and then.tokens, format_compact),
        Tile(
            "Failure rate",
            format_percent(rate),
            format_points(rate, rate_then),
            f"before: {format_percent(rate_then)}" if rate_then is not None else "",
        ),
        _make_tile("Active creators", now.creators, creators, format_count),
    ]


def _make_tile(name: str, now: float | None, before: float | None, number: Any) -> Tile:
    if before is None:
        return Tile(name, number(now), note="nothing to compare with")
    change = "" if now is None else format_change(now, before)
    return Tile(name, number(now), change, f"before: {number(before)}")


def _format_agent(viewer: Formatter, id: str, rank: int) -> dict[str, Any]:
    now, figures = viewer.figures.now.agents[id], viewer.figures
    then = figures.before.agents.get(id, Tally()) if figures.before else None
    most = max(tally.sessions for tally in figures.now.agents.values())
    return {
        "name": viewer.labels[id],
        "series": min(rank, shape.MOST_SERIES),
        "sessions": format_count(now.sessions),
        "sessions_change": format_change(now.sessions, then.sessions) if then else "",
        "share": round(100 * now.sessions / most, 1),
        "credits": format_credits(now.credits),
        "credits_change": format_change(now.credits, then.credits) if then else "",
        "tokens": format_compact(now.tokens),
        "failed": format_percent(now.failure_rate),
    }


def _format_creators(figures: Figures) -> list[dict[str, Any]]:
    most = max((creator.sessions for creator in figures.creators), default=1)
    return [
        {
            "name": label_creator(creator),
            "sessions": format_count(creator.sessions),
            "share": round(100 * creator.sessions / most, 1),
            "credits": format_credits(creator.credits),
            "failed": format_percent(creator.failed / creator.settled if creator.settled else None),
        }
        for creator in figures.creators
    ]


def _format_session(viewer: Formatter, one: TopSession) -> dict[str, str]:
    return {
        "name": shorten(one.name or "") or "Untitled",
        "id": shorten(one.id),
        "agent": viewer.labels[one.agent_id],
        "creator": shorten(one.creator or "") or "\N{EN DASH}",
        "began": viewer.format_minute(one.created_at),
        "state": shorten(one.state or "") or "unknown",
        "credits": format_credits(one.credits),
        "took": format_seconds(one.seconds),
    }


def _format_health(viewer: Formatter, one: Health) -> dict[str, Any]:
    last = one.last_run
    return {
        "name": viewer.labels[one.agent_id],
        "as_of": viewer.format_minute(one.as_of),
        "watermark": viewer.format_minute(one.watermark),
        "success": viewer.format_ago(one.last_success_at),
        "reconciled": viewer.format_ago(one.last_reconciled_at),
        "stalest": viewer.format_minute(one.stalest),
        "open": format_count(one.open_sessions),
        "missing": format_count(one.missing),
        "rejected": format_count(one.unread.records),
        "holes": one.holes,
        "status": last.status if last else "never run",
        "bad": last is None or last.status not in ("succeeded", "running"),
    }


def _format_run(viewer: Formatter, run: dict[str, Any]) -> dict[str, str]:
    took = run["finished_at"] and (run["finished_at"] - run["started_at"]).total_seconds()
    return {
        "began": viewer.format_minute(run["started_at"]),
        "agent": viewer.labels.get(run["agent_id"], shorten(run["agent_id"])),
        "mode": run["mode"],
        "status": run["status"],
        "took": format_seconds(took),
        "new": format_count(run["inserted"]),
        "changed": format_count(run["updated"]),
        "rejected": format_count(run["rejected"]),
        "error": shorten(run["error"] or ""),
    }
