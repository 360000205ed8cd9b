"""Wires settings, credentials, client and store into a `Service`, which runs all agents."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from etl.api.client import Client
from etl.api.clock_skew import describe_skew
from etl.api.credentials import make_source
from etl.api.errors import retry_later
from etl.clock import utc_now
from etl.config import Agent, Retention, Settings, parse_duration
from etl.credentials import CredentialSource, read_salt
from etl.errors import ConfigError, EtlError
from etl.events import Observe, RunFinished, RunStarted, ignore
from etl.input.instants import read_history_from
from etl.invocation import program_name
from etl.models import CLOCKS_DIFFER, AgentReport, Mode, Progress, Pruned, Status
from etl.planning.run_demand import RunOptions
from etl.privacy import make_rules
from etl.store.privacy.retention import prune
from etl.store.privacy.rules_change import RULES_CHANGED, apply_rules_change
from etl.store.schema import migrate
from etl.store.schema.engine import translate_errors
from etl.store.store import Store
from etl.sync.agent_run import AgentSync
from etl.sync.discovery import AgentSelection, list_agents, select_found, select_offline
from etl.sync.verify import SampleResult
from etl.sync.walks.walk_budget import WalkBudget
from etl.wording import did_you_mean, suggest_agent

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
    on_progress: Callable[[Progress], None] = lambda _: None
    on_message: Callable[[str], None] = lambda _: None
    observe: Observe = ignore
    budget: WalkBudget = field(default_factory=lambda: WalkBudget(1))
    """How the agents share the requests in flight."""

    def discover_agents(self, ids: Sequence[str] | None = None) -> AgentSelection:
        """The agents of a run: those of `--agent`, else all that are configured or found.

        Unless the configuration tells, the API is asked, and what it lists is saved. Raises
        ConfigError for an id that is neither, EtlError if that can't be determined now.
        """
        configured, rules = self.settings.agents, self.settings.discovery
        if not rules.on or (ids and {agent.id for agent in configured}.issuperset(ids)):
            return AgentSelection(select_agents(self.settings, ids))
        if (seconds := self.client.closed_for) > 0:
            raise retry_later(None, seconds, None, utc_now())
        listing = list_agents(self.client, rules)
        selection = select_found(self.store, configured, rules, listing, utc_now())
        if ids:
            selection.agents = _pick_agents(ids, selection)
        return selection

    def sync_agent(self, agent: Agent, options: RunOptions) -> AgentReport:
        """One agent's run; its failure is in the report."""
        began = time.monotonic()
        self.observe(RunStarted(agent.id, options.mode))
        report = self._make_agent_sync().run(agent.id, options, agent.name)
        self.observe(RunFinished(report, time.monotonic() - began))
        return report

    def verify_agent(self, agent: Agent, size: int) -> tuple[AgentReport, SampleResult | None]:
        """A spot check of one agent."""
        return self._make_agent_sync().verify(agent.id, size)

    def sync(self, agents: Sequence[Agent], options: RunOptions) -> list[AgentReport]:
        """All agents, several at once; one that fails doesn't stop the others."""
        at_once = max(1, min(len(agents), self.settings.api.concurrency))
        with ThreadPoolExecutor(at_once, "agent") as pool:
            return list(pool.map(lambda agent: self.sync_agent(agent, options), agents))

    def prune(self) -> Pruned:
        """Delete what is past the ages of `[retention]`. Raises StoreError.

        Raises EtlError while this machine's clock is ahead of the API's: rows would look older.
        """
        skew, retention = self.client.clock_skew, self.settings.retention
        if retention == Retention():
            return Pruned()
        if skew is not None and skew > CLOCKS_DIFFER:
            what = f"nothing is deleted by age: {min(describe_skew(skew))}"
            raise EtlError(what, f"set the clock; `{program_name()} check` compares it")
        return prune(self.store, retention, utc_now())

    def _make_agent_sync(self) -> AgentSync:
        callbacks = (self.on_progress, self.on_message, self.observe)
        return AgentSync(self.client, self.store, utc_now, self.stop, *callbacks, self.budget)


@contextmanager
def open_service(
    settings: Settings,
    stop: threading.Event,
    *,
    credentials: CredentialSource | None = None,
    migrate_too: bool = False,
    on_progress: Callable[[Progress], None] = lambda _: None,
    on_message: Callable[[str], None] = lambda _: None,
    observe: Observe = ignore,
) -> Iterator[Service]:
    """A service whose database is ready. Raises ConfigError, StoreError or SchemaMismatch."""
    credentials = credentials or make_source(settings.api, stop)
    rules = make_rules(settings.privacy, read_salt())
    with Store(settings.database.url, utc_now, rules) as store:
        with translate_errors(store.url):
            migrate.ensure(store.engine, migrate=migrate_too)
        if apply_rules_change(store):
            on_message(RULES_CHANGED)
        with Client(settings.api, credentials, stop, observe=observe) as client:
            budget = WalkBudget(settings.api.concurrency)
            yield Service(settings, client, store, stop, on_progress, on_message, observe, budget)


def select_agents(settings: Settings, ids: Sequence[str] | None) -> list[Agent]:
    """The agents named by `--agent`, else all. Raises ConfigError for one that isn't configured."""
    if not settings.agents and not settings.discovery.on:
        hint = "add a table [[agents]] with its id (`agents --toml` prints it), or set "
        hint += "ETL_AGENTS=ID,ID, or [discovery] own = true"
        raise ConfigError("no agents are configured", hint)
    known = {agent.id: agent for agent in settings.agents}
    for id in ids or ():
        if id not in known:
            hint = suggest_agent(id, {agent.id: agent.name for agent in settings.agents})
            raise ConfigError(f"agent {id!r:.80} is not configured", hint)
    return [known[id] for id in dict.fromkeys(ids)] if ids else list(settings.agents)


def list_known_agents(settings: Settings, store: Store, ids: Sequence[str] | None) -> list[Agent]:
    """The agents of a run as far as they are known without asking the API."""
    if not settings.discovery.on:
        return select_agents(settings, ids)
    selection = AgentSelection(select_offline(store, settings.agents, settings.discovery))
    return _pick_agents(ids, selection) if ids else selection.agents


def _pick_agents(ids: Sequence[str], selection: AgentSelection) -> list[Agent]:
    """The agents of these ids. Raises ConfigError, or EtlError where the lists can't be read."""
    agents = {agent.id: agent for agent in selection.agents}
    why = {decision.id: decision.why for decision in selection.decided}
    for id in (id for id in ids if id not in agents):
        if selection.failures and id not in why:
            hint = "it is not configured, and was not found before"
            raise EtlError(f"agent {id!r:.80} can't be looked for: {selection.failures[0]}", hint)
        hint, reason = f"`{program_name()} agents` shows them all", why.get(id)
        if reason is None:
            reason = "neither configured nor found"
            synced = {agent.id: agent.name for agent in selection.decided if agent.synced}
            hint = f"{did_you_mean(id, synced)} {hint}".lstrip()
        raise ConfigError(f"agent {id!r:.80} is not synced: {reason}", hint)
    return [agents[id] for id in dict.fromkeys(ids)]


def run_options(settings: Settings, mode: Mode, **changes: object) -> RunOptions:
    """The options of a run, by the configuration unless `changes` name them."""
    options = RunOptions(
        mode,
        since=read_history_from(settings),
        lookback=settings.sync.lookback,
        walkers=None if settings.sync.walkers == "auto" else settings.sync.walkers,
        seek=settings.sync.seek,
        resume_within=_resume_within(settings, mode),
        idle_recheck=settings.sync.idle_recheck,
        transcripts=settings.sync.transcripts_per_run if settings.sync.transcripts else 0,
        transcripts_within=settings.schedule.every / 2,
    )
    return replace(options, **changes)  # type: ignore[arg-type]


def _resume_within(settings: Settings, mode: Mode) -> timedelta:
    """The age up to which an unfinished demand is resumed: its schedule's interval."""
    if mode != "reconcile":
        return settings.schedule.every
    try:
        return parse_duration(settings.schedule.reconcile)
    except ValueError:
        return timedelta(days=1)


def find_worst_status(reports: Sequence[AgentReport], *, incomplete: bool = False) -> Status:
    """The status of a whole run; `incomplete` if agents may be missing."""
    statuses = {report.status for report in reports}
    if incomplete:
        statuses.add("incomplete")
    return next((status for status in WORST_FIRST if status in statuses), "succeeded")
