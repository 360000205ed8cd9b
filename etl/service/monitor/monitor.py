"""Who is told what: events go to the log, the metrics and the ping; probes ask the database."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event as engine_events
from sqlalchemy.exc import InterfaceError, OperationalError

from etl import __version__, events
from etl.clock import utc_now
from etl.config import Settings, parse_listen
from etl.errors import StoreError
from etl.service.monitor import log_events
from etl.service.monitor.logs import log
from etl.service.monitor.outages import Outages
from etl.service.monitor.ping import Pinger, read_ping_url
from etl.service.monitor.query_cache import CachedQuery
from etl.service.monitor.readiness import describe_readiness, describe_unreadable
from etl.service.monitor.web import Reply, Server
from etl.service.schedule import describe_schedule
from etl.store.read import probes
from etl.store.store import Store

if TYPE_CHECKING:
    from etl.service.monitor.metrics import Metrics

LONGEST_SILENCE: Final = 60.0
"""Seconds without a beat of the scheduler after which the process counts as dead."""

OPEN_SESSIONS_LAST: Final = 10.0
"""Seconds for which the count of open sessions is kept: it reads a row per open session."""

NOT_OUTAGES: Final = ("40", "55P03", "57014")
"""PostgreSQL's states of deadlocks and of statements that took too long: others go on."""


class Monitor:
    """One process, seen from outside. `observe` takes what happens, `heartbeat` a sign of life.

    Made, it holds its address; it serves from `start` on. Raises ConfigError.
    """

    def __init__(self, settings: Settings, agent_ids: Sequence[str], bound: timedelta) -> None:
        self._settings = settings
        self._agent_ids = tuple(agent_ids)
        self._bound = bound
        self._beat_at = time.monotonic()
        self._observers: list[events.Observe] = [log_events.write, Outages(self.observe).observe]
        self._metrics: Metrics | None = None
        self._server: Server | None = None
        url = read_ping_url(settings.service)
        if url is not None:
            self._observers.append(Pinger(url, self.observe).observe)
        if settings.service.listen is not None:
            from etl.service.monitor import metrics

            self._server = Server(parse_listen(settings.service.listen))
            self._metrics = metrics.Metrics(agent_ids)
            self._observers.append(self._metrics.observe)

    def observe(self, event: events.Event) -> None:
        """Pass an event to every observer. One that fails must not hurt the work it observes."""
        if isinstance(event, events.AgentFound):
            self.set_agents([*self._agent_ids, event.agent_id])
        elif isinstance(event, events.AgentGone):
            self.set_agents([id for id in self._agent_ids if id != event.agent_id])
        for observe in self._observers:
            try:
                observe(event)
            except Exception:
                logging.getLogger("etl.monitor").exception("an observer failed")

    def note_heartbeat(self) -> None:
        """The scheduler's thread works."""
        self._beat_at = time.monotonic()

    def set_agents(self, agent_ids: Sequence[str]) -> None:
        """These are the agents from now on; others leave the metrics and the probes."""
        self._agent_ids = tuple(agent_ids)
        if self._metrics is not None:
            self._metrics.set_agents(agent_ids)

    def start(self, store: Store) -> None:
        """Watch this database, and serve where an address is configured."""
        engine_events.listen(store.engine, "handle_error", self._on_database_error)
        engine_events.listen(store.engine, "commit", self._on_database_reply)
        log.info(
            "service_started",
            version=__version__,
            agents=len(self._agent_ids),
            schedule=describe_schedule(self._settings.schedule),
        )
        if self._server is not None and self._metrics is not None:
            from etl.service.monitor.gauges import DatabaseGauges

            agents = CachedQuery(partial(self._read_agents, store))
            sessions = CachedQuery(
                partial(self._read_open_sessions, store), lasts=OPEN_SESSIONS_LAST
            )
            self._metrics.registry.register(
                DatabaseGauges(lambda: self._agent_ids, agents.answer, sessions.answer, utc_now)
            )
            self._server.start(
                {
                    "/healthz": self._report_health,
                    "/readyz": partial(self._report_readiness, agents),
                    "/metrics": self._metrics.scrape,
                }
            )
            log.info("service_listening", address=self._server.address)

    def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()

    def _on_database_error(self, context: Any) -> None:
        error = context.sqlalchemy_exception
        state = getattr(context.original_exception, "sqlstate", None) or ""
        broken = isinstance(error, OperationalError | InterfaceError)
        if broken and not state.startswith(NOT_OUTAGES):
            self.observe(events.DatabaseFailed(context.original_exception))

    def _on_database_reply(self, _: Any = None) -> None:
        self.observe(events.DatabaseAnswered())

    def _read_agents(self, store: Store) -> dict[str, probes.AgentProbe]:
        probes.require_current(store)
        agents = probes.read_agents(store, self._agent_ids)
        self._on_database_reply()
        return agents

    def _read_open_sessions(self, store: Store) -> dict[str, probes.OpenSessionsProbe]:
        idle = self._settings.sync.idle_recheck
        sessions = probes.read_open_sessions(store, self._agent_ids, utc_now(), idle)
        self._on_database_reply()
        return sessions

    def _report_health(self, _: str) -> Reply:
        silence = time.monotonic() - self._beat_at
        alive = silence < LONGEST_SILENCE
        return _make_reply(
            {"alive": alive, "scheduler_silent_seconds": round(silence, 3)}, ok=alive
        )

    def _report_readiness(self, agents: CachedQuery[dict[str, probes.AgentProbe]], _: str) -> Reply:
        ids = self._agent_ids
        try:
            last = {id: probe.last_success_at for id, probe in agents.answer().items()}
            document = describe_readiness(last, ids, utc_now(), self._bound)
        except StoreError as error:
            document = describe_unreadable(error, ids, self._bound)
        return _make_reply(document, ok=document["ready"])


def open_monitor(
    settings: Settings, agent_ids: Sequence[str], bound: timedelta
) -> AbstractContextManager[Monitor]:
    """A monitor that ends with the block; `bound` is the oldest last success that is ready."""
    return closing(Monitor(settings, agent_ids, bound))


def _make_reply(document: dict[str, Any], *, ok: bool) -> Reply:
    body = json.dumps(document, indent=1).encode() + b"\n"
    return Reply(200 if ok else 503, "application/json", body)
