"""Everything but the charts as the template shows it: texts, in the order of the page."""

from dataclasses import dataclass
from typing import Any, Final

from etl.analytics.figures import shape, words
from etl.analytics.figures.shape import Tally
from etl.analytics.figures.values import TopSession
from etl.analytics.report.data_quality import freshness, warnings
from etl.analytics.report.formatting import Formatter
from etl.analytics.report.health_queries import Health
from etl.analytics.report.load_figures import Figures, Totals
from etl.analytics.report.names import creator_label, short
from etl.models import BEGINNING

__all__ = ["View", "view"]

MOST_AGENTS: Final = 50
"""Agents in a table of agents."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure, how it moved, and what it was before."""

    name: str
    value: str
    change: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The page's texts."""

    title: str
    scope: str
    clock: str
    compared: str
    freshness: str
    warnings: list[str]
    tiles: list[Tile]
    agents: list[dict[str, Any]]
    more_agents: int
    creators: list[dict[str, Any]]
    slowest: list[dict[str, str]]
    costliest: list[dict[str, str]]
    settled: str
    health: list[dict[str, Any]]
    runs: list[dict[str, str]]
    empty: bool


def view(figures: Figures) -> View:
    """Put the figures into words."""
    viewer, options = Formatter(figures), figures.options
    ranked = shape.rank_agents(figures.now.agents)
    worst_first = sorted(figures.health, key=lambda one: (one.as_of or BEGINNING, one.agent_id))
    return View(
        title=viewer.span(*options.period),
        scope=_scope(viewer),
        clock=options.zone_name,
        compared=viewer.span(*figures.period_before) if figures.period_before else "",
        freshness=freshness(viewer),
        warnings=warnings(viewer),
        tiles=_tiles(figures.now, figures.before),
        agents=[_agent(viewer, id, rank) for rank, id in enumerate(ranked[:MOST_AGENTS])],
        more_agents=max(0, len(ranked) - MOST_AGENTS),
        creators=_creators(figures),
        slowest=[_session(viewer, one) for one in figures.settling.slowest],
        costliest=[_session(viewer, one) for one in figures.costliest],
        settled=words.whole(figures.settling.observed),
        health=[_health(viewer, one) for one in worst_first[:MOST_AGENTS]],
        runs=[_run(viewer, run) for run in figures.runs],
        empty=not figures.now.tally.sessions,
    )


def _scope(viewer: Formatter) -> str:
    ids = viewer.figures.options.agents
    if len(ids) == 1:
        return viewer.labels[ids[0]]
    return f"{len(ids)} agents" if ids else "no agents"


def _tiles(now: Totals, before: Totals | None) -> list[Tile]:
    then = before.tally if before else None
    rate, rate_then = now.tally.failure_rate, then.failure_rate if then else None
    return [
        _moved("Sessions", now.tally.sessions, then.sessions if then else None, words.whole),
        _moved("Credits", now.tally.credits, then.credits if then else None, words.credits),
        _moved("Credits per session", now.tally.each, then.each if then else None, words.credits),
        _moved("Tokens", now.tally.tokens, then.tokens if then else None, words.compact),
        Tile(
            "Failure rate",
            words.percent(rate),
            words.points(rate, rate_then),
            f"before: {words.percent(rate_then)}" if rate_then is not None else "",
        ),
        _moved("Active creators", now.creators, before.creators if before else None, words.whole),
    ]


def _moved(name: str, now: float | None, before: float | None, number: Any) -> Tile:
    if before is None:
        return Tile(name, number(now), note="nothing to compare with")
    change = "" if now is None else words.change(now, before)
    return Tile(name, number(now), change, f"before: {number(before)}")


def _agent(viewer: Formatter, id: str, rank: int) -> dict[str, Any]:
    now, figures = viewer.figures.now.agents[id], viewer.figures
    then = figures.before.agents.get(id, Tally()) if figures.before else None
    most = max(tally.sessions for tally in figures.now.agents.values())
    return {
        "name": viewer.labels[id],
        "series": min(rank, shape.MOST_SERIES),
        "sessions": words.whole(now.sessions),
        "sessions_change": words.change(now.sessions, then.sessions) if then else "",
        "share": round(100 * now.sessions / most, 1),
        "credits": words.credits(now.credits),
        "credits_change": words.change(now.credits, then.credits) if then else "",
        "tokens": words.compact(now.tokens),
        "failed": words.percent(now.failure_rate),
    }


def _creators(figures: Figures) -> list[dict[str, Any]]:
    most = max((creator.sessions for creator in figures.creators), default=1)
    return [
        {
            "name": creator_label(creator),
            "sessions": words.whole(creator.sessions),
            "share": round(100 * creator.sessions / most, 1),
            "credits": words.credits(creator.credits),
            "failed": words.percent(creator.failed / creator.settled if creator.settled else None),
        }
        for creator in figures.creators
    ]


def _session(viewer: Formatter, one: TopSession) -> dict[str, str]:
    return {
        "name": short(one.name or "") or "Untitled",
        "id": short(one.id),
        "agent": viewer.labels[one.agent_id],
        "creator": short(one.creator or "") or "\N{EN DASH}",
        "began": viewer.minute(one.created_at),
        "state": short(one.state or "") or "unknown",
        "credits": words.credits(one.credits),
        "took": words.duration(one.seconds),
    }


def _health(viewer: Formatter, one: Health) -> dict[str, Any]:
    last = one.last_run
    return {
        "name": viewer.labels[one.agent_id],
        "as_of": viewer.minute(one.as_of),
        "watermark": viewer.minute(one.watermark),
        "success": viewer.ago(one.last_success_at),
        "reconciled": viewer.ago(one.last_reconciled_at),
        "stalest": viewer.minute(one.stalest),
        "open": words.whole(one.open_sessions),
        "missing": words.whole(one.missing),
        "rejected": words.whole(one.unread.records),
        "holes": one.holes,
        "status": last.status if last else "never run",
        "bad": last is None or last.status not in ("succeeded", "running"),
    }


def _run(viewer: Formatter, run: dict[str, Any]) -> dict[str, str]:
    took = run["finished_at"] and (run["finished_at"] - run["started_at"]).total_seconds()
    return {
        "began": viewer.minute(run["started_at"]),
        "agent": viewer.labels.get(run["agent_id"], short(run["agent_id"])),
        "mode": run["mode"],
        "status": run["status"],
        "took": words.duration(took),
        "new": words.whole(run["inserted"]),
        "changed": words.whole(run["updated"]),
        "rejected": words.whole(run["rejected"]),
        "error": short(run["error"] or ""),
    }
