"""The figures of a report, as the database counts them."""

from datetime import datetime
from typing import NamedTuple

from etl.analytics.figures.period import Period


class Window(NamedTuple):
    """Which sessions are counted: of these agents, begun within this period."""

    agents: tuple[str, ...]
    period: Period


class Cell(NamedTuple):
    """Sessions of an agent that began at the same slot of wall time and are in the same state."""

    agent_id: str
    slot: datetime
    state: str | None
    sessions: int
    credits: float
    tokens: int


class Creator(NamedTuple):
    """What a creator's sessions came to. The id is null for sessions that name none."""

    id: str | None
    name: str | None
    email: str | None
    sessions: int
    failed: int
    settled: int
    credits: float


class TopSession(NamedTuple):
    """A session in a list; `seconds` from its beginning to the look that saw it settled."""

    id: str
    name: str | None
    agent_id: str
    state: str | None
    created_at: datetime
    credits: float | None
    creator: str | None
    seconds: float | None = None


class SettleTimes(NamedTuple):
    """The slowest of the sessions, `observed` in all, seen open first and settled later."""

    observed: int
    slowest: list[TopSession]
