"""Who is joined to whom: settings, credentials, client and store become a run of all agents."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from etl.api.client import Client, utc_now
from etl.config import Agent, Credentials, Settings, parse_duration
from etl.errors import ConfigError
from etl.models import AgentReport, Mode, Status
from etl.store import migrate
from etl.store.engine import told
from etl.store.store import Store
from etl.sync.agent import AgentSync, Wish
from etl.sync.crew import Progress
from etl.sync.verify import Sample

__all__ = ["Service", "chosen", "opened", "parse_instant_option", "wish_of", "worst"]

WORST_FIRST: Final[tuple[Status, ...]] = (
    "interrupted",
    "failed",
    "skipped",
    "incomplete",
    "succeeded",
)


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that a run needs, opened."""

    settings: Settings
    client: Client
    store: Store
    stop: threading.Event
    tell: Callable[[Progress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None

    def sync_agent(self, agent: Agent, wish: Wish) -> AgentReport:
        """One agent's run; its failure is in the report."""
        sync = AgentSync(self.client, self.store, utc_now, self.stop, self.tell, self.say)
        return sync.run(agent.id, wish, agent.name)

    def verify_agent(self, agent: Agent, size: int) -> tuple[AgentReport, Sample | None]:
        """A spot check of one agent."""
        sync = AgentSync(self.client, self.store, utc_now, self.stop, self.tell, self.say)
        return sync.verify(agent.id, size)

    def sync(self, agents: Sequence[Agent], wish: Wish) -> list[AgentReport]:
        """All agents, several at once; one that fails doesn't stop the others."""
        at_once = max(1, min(len(agents), self.settings.api.concurrency))
        with ThreadPoolExecutor(at_once, "agent") as pool:
            return list(pool.map(lambda agent: self.sync_agent(agent, wish), agents))


@contextmanager
def opened(
    settings: Settings,
    stop: threading.Event,
    *,
    credentials: Credentials | None = None,
    migrate_too: bool = False,
    tell: Callable[[Progress], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Service]:
    """A service whose database is ready. Raises ConfigError, StoreError or SchemaMismatch."""
    credentials = credentials or Credentials.from_environment()
    store = Store(settings.database.url, utc_now)
    try:
        with told(store.url):
            migrate.ensure(store.engine, migrate=migrate_too)
        with Client(settings.api, credentials, stop) as client:
            yield Service(settings, client, store, stop, tell, say)
    finally:
        store.close()


def chosen(settings: Settings, ids: Sequence[str] | None) -> list[Agent]:
    """The agents named by `--agent`, else all. Raises ConfigError for one that isn't configured."""
    if not settings.agents:
        hint = "add a table [[agents]] with its id, or set ETL_AGENTS=ID,ID"
        raise ConfigError("no agents are configured", hint)
    known = {agent.id: agent for agent in settings.agents}
    for id in ids or ():
        if id not in known:
            raise ConfigError(f"agent {id!r:.80} is not configured", f"known: {', '.join(known)}")
    return [known[id] for id in dict.fromkeys(ids)] if ids else list(settings.agents)


def wish_of(settings: Settings, mode: Mode, **changes: object) -> Wish:
    """A wish with the configured defaults."""
    since = parse_instant_option(settings.sync.since) if settings.sync.since else None
    wish = Wish(
        mode,
        since=since if mode == "incremental" else None,
        lookback=settings.sync.lookback,
        walkers=settings.sync.walkers,
        patience=_patience(settings, mode),
        idle_recheck=settings.sync.idle_recheck,
    )
    return replace(wish, **changes)  # type: ignore[arg-type]


def _patience(settings: Settings, mode: Mode) -> timedelta:
    """How long an unfinished demand is taken up again: its schedule's interval."""
    if mode != "reconcile":
        return settings.schedule.every
    try:
        return parse_duration(settings.schedule.reconcile)
    except ValueError:
        return timedelta(days=1)


def parse_instant_option(text: str, now: datetime | None = None, zone: tzinfo = UTC) -> datetime:
    """A date, an ISO time (in the zone unless it says otherwise), or an age like `30d`.

    Raises ConfigError for anything else.
    """
    try:
        return (now or utc_now()) - parse_duration(text)
    except OverflowError:
        raise ConfigError(f"{text!r} is before the calendar begins") from None
    except ValueError:
        pass
    try:
        instant = datetime.fromisoformat(text)
        aware = instant.replace(tzinfo=zone) if instant.tzinfo is None else instant
        return aware.astimezone(UTC)
    except (ValueError, OverflowError):
        hint = 'use a date like "2026-05-01", an ISO time, or an age like "30d"'
        raise ConfigError(f"{text!r} is not a point in time", hint) from None


def worst(reports: Sequence[AgentReport]) -> Status:
    """The status of a whole run."""
    statuses = {report.status for report in reports}
    return next((status for status in WORST_FIRST if status in statuses), "succeeded")
