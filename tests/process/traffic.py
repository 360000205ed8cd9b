"""What a run asked the simulator for, as rows: cursors differ where pages begin elsewhere."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from etl.simulator import World
from etl.simulator.http.server import RequestRecord
from tests.support.audit import instant

NONE: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One page of a session list that was asked for, and the ids that it held."""

    agent_id: str
    order: str
    cursor: str | None
    ids: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str, str | None]:
        """The same for two requests that ask for the same page."""
        return self.agent_id, self.order, self.cursor


def pages(world: World, requests: Sequence[RequestRecord], page_size: int) -> list[Asked]:
    """The pages of whole lists asked for, while the world stood still.

    The end check (`page_size=1`), lists under a filter and retrievals are no pages of a walk.
    """
    lists = {id: list(world.sessions(id)) for id in world.agent_ids()}
    found = []
    for request in requests:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        agent_id = unquote(request.path.removesuffix("/sessions").rpartition("/")[2])
        if query.get("page_size") != str(page_size) or "state" in query or agent_id not in lists:
            continue
        order, cursor = query.get("sort_order", "newest"), query.get("cursor")
        rows = lists[agent_id] if order == "newest" else lists[agent_id][::-1]
        ids = [row["id"] for row in rows]
        begin = 0 if cursor is None else _begin(rows, _position(cursor), order)
        found.append(Asked(agent_id, order, cursor, tuple(ids[begin : begin + page_size])))
    return found


def walks(asked: Sequence[Asked]) -> int:
    """How many chains these pages make up: each page that goes on from no other begins one."""
    ends = {(page.agent_id, page.order, page.ids[-1]) for page in asked if page.ids}
    return sum(
        page.cursor is None
        or (page.agent_id, page.order, _position(page.cursor).get("interaction_id")) not in ends
        for page in asked
    )


def fetched_twice(before: Sequence[Asked], after: Sequence[Asked]) -> int:
    """How many rows the pages after a kill brought that those before it had brought."""
    old = {(page.agent_id, id) for page in before for id in page.ids}
    new = {(page.agent_id, id) for page in after for id in page.ids}
    return len(old & new)


def _begin(rows: Sequence[dict[str, Any]], position: dict[str, Any], order: str) -> int:
    """Where a page begins: behind a row, or at an instant if the cursor names no row."""
    id = position.get("interaction_id")
    if id is not None:
        return [row["id"] for row in rows].index(id) + 1
    at, sign = instant(position["sort_value"]), -1 if order == "newest" else 1
    behind = (n for n, row in enumerate(rows) if sign * (instant(row["created_at"]) - at) > NONE)
    return next(behind, len(rows))


def _position(cursor: str) -> dict[str, Any]:
    """Where a page begins, from the documented form of a cursor."""
    padded = cursor + "=" * (-len(cursor) % 4)
    position: dict[str, Any] = json.loads(base64.b64decode(padded))
    return position
