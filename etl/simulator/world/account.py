"""An account as it is now: agents, their sessions, and the pages of their lists."""

import json
import threading
import time
from random import Random
from typing import Any

from etl.simulator.http.query import ListQuery
from etl.simulator.times import NO_INSTANT, format_instant
from etl.simulator.world import seed_data
from etl.simulator.world.agents import Agent
from etl.simulator.world.generate import draw_id
from etl.simulator.world.rows import Key, Row
from etl.simulator.world.session_factory import Recipe, trigger_of

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Account:
    """Agents and their sessions. Every method may be called from any thread."""

    def __init__(self, *, seed: int, lived_to: int) -> None:
        self.lock = threading.RLock()
        self.rng = Random(seed)
        self.seed = seed
        self.teams: dict[str, str] = dict(seed_data.TEAMS)
        # Up to this instant life has been lived.
        self.lived_to = lived_to
        # Seconds: how late lists show what is added, and how far the clock is ahead.
        self.list_lag = 0.0
        self.empty_end = False
        self.clock_ahead = 0.0
        self._agents: dict[str, Agent] = {}
        self._rows: dict[str, Row] = {}
        self._recipes: dict[str, Recipe] = {}

    # -- agents ------------------------------------------------------------------------------

    def agent_ids(self) -> list[str]:
        """Return the ids of the agents that are not retired."""
        with self.lock:
            return [agent.id for agent in self._agents.values() if not agent.retired]

    def agent(self, agent_id: str) -> Agent | None:
        """Return an agent, or None if there is none or it is retired."""
        agent = self._agents.get(agent_id)
        return None if agent is None or agent.retired else agent

    def agents(self) -> list[Agent]:
        """Return the agents that are not retired, the first created first."""
        with self.lock:
            return [self._agents[agent_id] for agent_id in self.agent_ids()]

    def add_agent(
        self, name: str, *, agent_id: str | None = None, mixed_times: bool = False, **fields: Any
    ) -> str:
        """Create an agent without sessions and return its id; *fields* are those of Agent."""
        with self.lock:
            agent_id = agent_id or draw_id(self.rng, "", 15)
            fields.setdefault("created_at", format_instant(self.lived_to))
            self._agents[agent_id] = Agent(id=agent_id, name=name, **fields)
            number = len(self._agents)
            self._recipes[agent_id] = Recipe(self.seed * 1009 + number, agent_id, mixed_times)
            return agent_id

    def rename_agent(self, agent_id: str, name: str) -> None:
        """Give an agent another name, which all its sessions show from now on."""
        with self.lock:
            agent = self._agents[agent_id]
            old, new = _name_fragment(agent.name), _name_fragment(name)
            agent.name = name
            for row in agent.rows.all.rows:
                row.body = row.body and row.body.replace(old, new, 1)

    def retire_agent(self, agent_id: str) -> None:
        """Take an agent away: it and its sessions are not found any more."""
        self._agents[agent_id].retired = True

    def return_agent(self, agent_id: str) -> None:
        """Bring a retired agent back, with its sessions."""
        self._agents[agent_id].retired = False

    # -- reading sessions --------------------------------------------------------------------

    def sessions(self, agent_id: str) -> list[Any]:
        """Return copies of what the whole list shows now, newest first."""
        with self.lock:
            agent = self.agent(agent_id)
            rows = agent.rows.all.rows if agent else []
            return [json.loads(self._encode_row(row)) for row in reversed(rows)]

    def session(self, session_id: str) -> Any:
        """Return a copy of one session in its list form, or None if it is not to be found."""
        with self.lock:
            row = self._rows.get(session_id)
            if row is None or self.agent(row.agent_id) is None:
                return None
            return json.loads(self._encode_row(row))

    def page(self, agent_id: str, query: ListQuery) -> tuple[list[bytes], Key | None]:
        """Return the encoded records of a page and the key to go on from, None at the end.

        Raises KeyError for an unknown agent and ApiError for a cursor that does not fit.
        """
        with self.lock:
            rows = self._page_rows(self._agents[agent_id], query)
            page = rows[: query.page_size]
            bodies = [row.body or self._encode_row(row) for row in page]
            goes_on = len(rows) > query.page_size or (self.empty_end and bool(page))
            return bodies, page[-1].key if goes_on else None

    def _page_rows(self, agent: Agent, query: ListQuery) -> list[Row]:
        shown_until = time.monotonic() - self.list_lag

        def match(row: Row) -> bool:
            if row.added > shown_until or not query.filters.needs_record:
                return row.added <= shown_until
            record = json.loads(self._encode_row(row))
            return query.filters.match(record, self._find_trigger(row, record))

        matcher = match if query.filters.needs_record or self.list_lag else None
        # One more than asked for tells whether there is a next page.
        size = query.page_size + 1
        return agent.rows.page(query.order, query.after(), size, query.filters.state, matcher)

    def _find_trigger(self, row: Row, record: Any) -> str | None:
        if row.trigger_id or row.number < 0 or not isinstance(record, dict):
            return row.trigger_id
        return trigger_of(row.agent_id, row.number, record)

    def _encode_row(self, row: Row) -> bytes:
        if row.body is None:
            instant, session_id = row.key
            recipe = self._recipes[row.agent_id]
            record = recipe.make(row.number, session_id, instant, row.state)
            record["agent_name"] = self._agents[row.agent_id].name
            row.body = encode(record)
        return row.body

    def ids_in_state(self, agent_id: str, state: str) -> list[str]:
        """Return the ids of the well-formed sessions in *state*, oldest first."""
        with self.lock:
            rows = self._agents[agent_id].rows.select_state(state).rows
            return [row.key[1] for row in rows if _is_object(row)]

    def draw_ids(self, agent_id: str, rng: Random, count: int) -> list[str]:
        """Return the ids of up to *count* well-formed sessions, mostly recent ones."""
        with self.lock:
            rows = self._agents[agent_id].rows.all.rows
            places = {-1 - int(len(rows) * rng.random() ** 3) for _ in range(count if rows else 0)}
            drawn = [rows[place] for place in sorted(places)]
            return [row.key[1] for row in drawn if _is_object(row)]

    def agent_of(self, session_id: str) -> str:
        """Return the id of the agent of a session; raises KeyError if there is no such session."""
        return self._rows[session_id].agent_id

    def last_used_at(self, agent_id: str) -> str | None:
        """Return when the agent's newest session began, or None without one that has a date."""
        with self.lock:
            rows = self._agents[agent_id].rows.all.rows
            instant = rows[-1].key[0] if rows else NO_INSTANT
            return None if instant == NO_INSTANT else format_instant(instant)

    def warm(self) -> None:
        """Encode every session now (some 40 microseconds each), so that no request has to."""
        with self.lock:
            for row in self._rows.values():
                self._encode_row(row)

    def counts(self) -> dict[str, int]:
        """Return the number of sessions by agent."""
        return {agent.id: len(agent.rows.all) for agent in self.agents()}


def encode(record: object) -> bytes:
    """Return *record* as compact JSON; text that is no valid Unicode is escaped."""
    text: str = _ENCODER.encode(record)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":")).encode()


def _is_object(row: Row) -> bool:
    return row.body is None or row.body.startswith(b"{")


def _name_fragment(name: str) -> bytes:
    # Quotes within a text are escaped, so this can't be found inside a value.
    return encode({"agent_name": name})[1:-1]
