"""The endpoints of the API, over a world."""

import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import replace
from typing import Any

from etl.simulator.http.bad_responses import Listing, Scene, distort
from etl.simulator.http.credentials import Credentials, read_form
from etl.simulator.http.drift import drift_record
from etl.simulator.http.errors import ApiError, bad_request, not_found
from etl.simulator.http.faults import Fault, Target
from etl.simulator.http.messages import Answer, Request
from etl.simulator.http.query import ListQuery, parse_list_query, parse_page_size
from etl.simulator.traits import CursorBook, Traits, apply
from etl.simulator.world.account import encode
from etl.simulator.world.agents import Agent
from etl.simulator.world.transcript import make_retrieval
from etl.simulator.world.world import World

BASE = ["api", "v1"]
# As many cursors are remembered, for the faults that lead back to an earlier page.
REMEMBERED_CURSORS = 10_000


def answer_json(body: Any, status: int = 200) -> Answer:
    """Return *body* as an answer."""
    return Answer(status, encode(body))


class Api:
    """Answers requests; *fault*, if given, is one that distorts a page of sessions."""

    def __init__(self, world: World, credentials: Credentials, traits: Traits) -> None:
        self.world = world
        self.credentials = credentials
        self.traits = traits
        self.cursors = CursorBook(traits)
        # By a cursor that was issued: the cursor of the request that it answered.
        self._cursors_before: OrderedDict[str, str | None] = OrderedDict()

    def target(self, request: Request) -> Target:
        """Return what faults need to know of *request*."""
        if not _is_list(request):
            return Target(request.target)
        cursor = request.params.get("cursor")
        before = self._cursors_before.get(cursor) if cursor else None
        return Target(request.target, True, cursor, before is not None)

    def answer(self, request: Request, fault: Fault | None = None) -> Answer:
        """Return the answer to *request*; raises ApiError for an error of the API."""
        if (request.method, request.path) == ("POST", "/oauth/token"):
            return answer_json(self.credentials.renew(read_form(request)))
        if request.segments[:2] != BASE or request.method != "GET":
            raise not_found("Route")
        self.credentials.check(request)
        self._check_team(request)
        return self._route(request, fault)

    def _route(self, request: Request, fault: Fault | None) -> Answer:
        match request.segments[2:]:
            case ("agents", agent_id, "sessions"):
                return self._list_sessions(self._find_agent(agent_id, request), request, fault)
            case ("sessions", session_id):
                return self._show_session(session_id, request, fault)
            case ("agents", agent_id):
                return answer_json({"agent": self._find_agent(agent_id, request).record()})
            case ("agents",):
                return self._list_agents(request)
            case ("teams",):
                teams = [{"id": key, "name": name} for key, name in self.world.teams.items()]
                return answer_json({"teams": teams})
        raise not_found("Route")

    def _check_team(self, request: Request) -> None:
        team_id = request.params.get("team_id")
        if team_id is not None and team_id not in self.world.teams:
            raise ApiError(403, "insufficient_scope", "No access to this team", param="team_id")

    def _find_agent(self, agent_id: str, request: Request) -> Agent:
        agent = self.world.agent(agent_id)
        if agent is None:
            raise not_found("Agent")
        team_id = request.params.get("team_id")
        # Keys send their team along everywhere, also for the caller's personal agents.
        if team_id is not None and agent.team_id not in (None, team_id):
            raise ApiError(403, "insufficient_scope", "The agent is in another team")
        return agent

    def _list_sessions(self, agent: Agent, request: Request, fault: Fault | None) -> Answer:
        query = apply(parse_list_query(request.params), self.traits)
        admitted = self.cursors.admit(query)
        page = self._page(agent.id, admitted) if admitted else Listing([], None)
        page = self._cut(page, query)
        if fault:
            page = distort(page, self._make_scene(agent.id, query, fault))
        if page.next_cursor:
            # The first request to be given a cursor is the one before it on a straight walk.
            self._cursors_before.setdefault(page.next_cursor, query.cursor)
            if len(self._cursors_before) > REMEMBERED_CURSORS:
                self._cursors_before.popitem(last=False)
            self.cursors.note(page.next_cursor)
        return page.answer()

    def _page(self, agent_id: str, query: ListQuery) -> Listing:
        rows, key = self.world.page(agent_id, query)
        return Listing(rows, None if key is None else self.cursors.renew(query.cursor_at(key)))

    def _cut(self, page: Listing, query: ListQuery) -> Listing:
        if self.traits.swapped:
            one, other = self.traits.swapped
            places = {one: other, other: one}
            rows = [self._swap(row, places) for row in page.rows or ()]
            page = Listing(rows, page.next_cursor)
        if self.traits.hidden:
            rows = [
                row for row in page.rows or () if json.loads(row)["id"] not in self.traits.hidden
            ]
            page = Listing(rows, page.next_cursor)
        most = self.traits.state_rows
        if most is None or query.filters.state is None or len(page.rows or ()) < most:
            return page
        return Listing((page.rows or [])[:most], None)

    def _swap(self, row: bytes, places: dict[str, str]) -> bytes:
        other = places.get(json.loads(row)["id"])
        return encode(self.world.session(other)) if other else row

    def _make_scene(self, agent_id: str, query: ListQuery, fault: Fault) -> Scene:
        head = replace(query, cursor=None)
        tail = replace(head, order="oldest" if query.order == "newest" else "newest")
        return Scene(
            fault=fault,
            cursor=query.cursor,
            cursor_before=self._cursors_before.get(query.cursor or ""),
            head=lambda: self._page(agent_id, head),
            tail=lambda: self._page(agent_id, tail),
            other_agent=lambda other: self._page(other or self._choose_other(agent_id), head),
        )

    def _choose_other(self, agent_id: str) -> str:
        others = [other for other in self.world.agent_ids() if other != agent_id]
        return others[0] if others else agent_id

    def _show_session(self, session_id: str, request: Request, fault: Fault | None) -> Answer:
        record = self.world.session(session_id)
        if not isinstance(record, dict):
            raise not_found("Session")
        agent = self._find_agent(self.world.agent_of(session_id), request)
        answer = make_retrieval(record, agent, self.world.get_transcript(session_id))
        if fault and fault.kind == "drift":
            raw = drift_record(encode(answer["session"]), 0, fault)
            return Answer(200, b'{"session":' + raw + b',"queue_position":null}')
        return answer_json(answer)

    def _list_agents(self, request: Request) -> Answer:
        params = request.params
        records = [self._make_agent_record(agent, params) for agent in self._select_visible(params)]
        if "page_size" not in params and "cursor" not in params:
            return answer_json({"agents": records, "next_cursor": None})
        size, start = parse_page_size(params), _decode_offset(params.get("cursor"))
        more = start + size < len(records)
        page = {"agents": records[start : start + size], "next_cursor": None}
        return answer_json({**page, "next_cursor": _encode_offset(start + size) if more else None})

    def _select_visible(self, params: dict[str, str]) -> list[Agent]:
        agents, team_id = self.world.agents(), params.get("team_id")
        if search := params.get("search", "").casefold():
            agents = [agent for agent in agents if search in agent.name.casefold()]
        if team_id is None:
            return [agent for agent in agents if agent.owned]
        return [agent for agent in agents if agent.team_id == team_id]

    def _make_agent_record(self, agent: Agent, params: dict[str, str]) -> dict[str, Any]:
        if params.get("include_last_used") != "true":
            return agent.record()
        return {**agent.record(), "last_used_at": self.world.last_used_at(agent.id)}


def _is_list(request: Request) -> bool:
    segments = request.segments
    return len(segments) == 5 and segments[:3] == [*BASE, "agents"] and segments[4] == "sessions"


def _encode_offset(offset: int) -> str:
    return base64.b64encode(json.dumps({"offset": offset}).encode()).decode()


def _decode_offset(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(json.loads(base64.b64decode(cursor, validate=True))["offset"])
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise bad_request("invalid_cursor", "cursor cannot be read", "cursor") from error
