"""How a server may differ from the documented one while it works as its makers want."""

import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from etl.simulator.http.errors import ApiError
from etl.simulator.http.query import ListQuery

Treatment = Literal["follow", "refuse", "first_page", "end"]
"""What becomes of a cursor; *end*: it leads to an empty last page."""


@dataclass(frozen=True)
class Traits:
    """What a server is like; the defaults are the documented one.

    *cursor_life* is in seconds, *cursor_requests* in further requests to any list, drawn for each
    cursor between the two numbers; what outlives either is treated as *old_cursor* says, and what
    this server never issued as *foreign_cursor* says. *refusal* is the status of a refused cursor.
    *only_order* is the order of every list, whatever is asked for. *list_lag* is how many seconds
    a list shows a new session late (a retrieve doesn't). *clock_ahead* is how many seconds the
    server's clock is ahead: of new sessions, and of the `Date` header. *state_rows* is where the
    list of one state ends. With *empty_end* the last page has a cursor that leads to an empty one.
    The two sessions *swapped* stand in each other's place in every list, out of order.
    The sessions *hidden* count for the length of a page of a list and are not shown. Beyond
    *at_once* requests under way, another one is refused with 429.
    """

    cursor_life: float | None = None
    cursor_requests: tuple[int, int] | None = None
    old_cursor: Treatment = "refuse"
    foreign_cursor: Treatment = "follow"
    refusal: int = 400
    only_order: Literal["newest", "oldest"] | None = None
    ignores_state: bool = False
    list_lag: float = 0.0
    clock_ahead: float = 0.0
    state_rows: int | None = None
    empty_end: bool = False
    swapped: tuple[str, str] | None = None
    hidden: Collection[str] = ()
    at_once: int | None = None
    seed: int = 1


@dataclass
class CursorBook:
    """When each cursor was last issued, and how long it lives."""

    traits: Traits
    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    generation: int = 0
    _issued: dict[str, tuple[float, int]] = field(default_factory=dict)
    _rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = Random(self.traits.seed)

    def renew(self, cursor: str) -> str:
        """Return *cursor* as text that no expired one has: spaces behind its JSON mean nothing."""
        return b64encode(b64decode(cursor) + b" " * self.generation).decode()

    def note(self, cursor: str) -> None:
        """Take down that *cursor* was issued now."""
        last = self.requests + self._rng.randint(*self.traits.cursor_requests or (0, 0))
        self._issued[cursor] = (self.clock(), last)

    def expire_all(self) -> None:
        """Make every cursor that was issued so far an old one."""
        self.generation += 1
        self._issued = dict.fromkeys(self._issued, (float("-inf"), -1))

    def admit(self, query: ListQuery) -> ListQuery | None:
        """Return the query to answer instead of *query*; None: with the end of the list.

        Raises ApiError for a refused cursor.
        """
        self.requests += 1
        treatment = self._treatment(query.cursor)
        if treatment == "refuse":
            code = "invalid_cursor" if self.traits.refusal == 400 else "gone"
            raise ApiError(self.traits.refusal, code, "this page is not there any more")
        if treatment == "end":
            return None
        return replace(query, cursor=None) if treatment == "first_page" else query

    def _treatment(self, cursor: str | None) -> Treatment:
        if cursor is None:
            return "follow"
        if cursor not in self._issued:
            return self.traits.foreign_cursor
        return self.traits.old_cursor if self._is_old(cursor) else "follow"

    def _is_old(self, cursor: str) -> bool:
        at, last = self._issued[cursor]
        life = self.traits.cursor_life
        expired = at == float("-inf") or (life is not None and self.clock() - at > life)
        return expired or (self.traits.cursor_requests is not None and self.requests > last)


def apply(query: ListQuery, traits: Traits) -> ListQuery:
    """Return *query* as a server with *traits* understands it."""
    if traits.ignores_state and query.filters.state:
        query = replace(query, filters=replace(query.filters, state=None))
    return replace(query, order=traits.only_order) if traits.only_order else query
