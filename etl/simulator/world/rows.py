"""Rows of one agent, kept sorted so that a page costs the same at any depth."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from typing import Literal

Order = Literal["newest", "oldest"]

# The instant of created_at, then the id: the total order of a list.
Key = tuple[int, str]


class Row:
    """One session: its place, and its JSON as bytes once somebody has asked for it."""

    __slots__ = ("added", "agent_id", "body", "key", "number", "state", "trigger_id")

    def __init__(self, agent_id: str, key: Key, state: str | None, number: int = -1) -> None:
        self.agent_id = agent_id
        self.key = key
        self.state = state
        # The number of the recipe that makes the body; -1 for a row that came with its body.
        self.number = number
        self.body: bytes | None = None
        self.trigger_id: str | None = None
        # When it was added to a world that goes on, in seconds of the monotonic clock.
        self.added = float("-inf")


_key = attrgetter("key")


class SortedRows:
    """Rows in ascending order of their keys."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: Row) -> None:
        """Put *row* in its place."""
        insort(self.rows, row, key=_key)

    def drop(self, row: Row) -> None:
        """Take *row* out; it must be there, and its key must not have changed since."""
        index = bisect_left(self.rows, row.key, key=_key)
        if self.rows[index] is not row:
            raise KeyError(row.key)
        del self.rows[index]

    def page(self, order: Order, after: Key | None, size: int) -> list[Row]:
        """Return the next *size* rows beyond *after*, in *order*."""
        if order == "newest":
            end = self._end(after)
            return self.rows[max(0, end - size) : end][::-1]
        start = self._start(after)
        return self.rows[start : start + size]

    def walk(self, order: Order, after: Key | None) -> Iterator[Row]:
        """Yield the rows beyond *after*, in *order*."""
        if order == "newest":
            return (self.rows[index] for index in range(self._end(after) - 1, -1, -1))
        return (self.rows[index] for index in range(self._start(after), len(self.rows)))

    def _end(self, after: Key | None) -> int:
        return len(self.rows) if after is None else bisect_left(self.rows, after, key=_key)

    def _start(self, after: Key | None) -> int:
        return 0 if after is None else bisect_right(self.rows, after, key=_key)


class AgentRows:
    """The rows of one agent, all of them and by state."""

    def __init__(self) -> None:
        self.all = SortedRows()
        self._by_state: dict[str | None, SortedRows] = {}

    def select_state(self, state: str | None) -> SortedRows:
        """Return the rows in *state*."""
        return self._by_state.setdefault(state, SortedRows())

    def fill(self, rows: list[Row]) -> None:
        """Take many new rows at once, in any order."""
        self.all.rows += rows
        for row in rows:
            self.select_state(row.state).rows.append(row)
        for sorted_rows in (self.all, *self._by_state.values()):
            sorted_rows.rows.sort(key=_key)

    def add(self, row: Row) -> None:
        """Put *row* in its places."""
        self.all.add(row)
        self.select_state(row.state).add(row)

    def drop(self, row: Row) -> None:
        """Take *row* out of its places."""
        self.all.drop(row)
        self.select_state(row.state).drop(row)

    def page(
        self,
        order: Order,
        after: Key | None,
        size: int,
        state: str | None = None,
        match: Callable[[Row], bool] | None = None,
    ) -> list[Row]:
        """Return up to *size* rows beyond *after* that have *state*, if given, and *match*."""
        rows = self.all if state is None else self.select_state(state)
        if match is None:
            return rows.page(order, after, size)
        return list(islice(filter(match, rows.walk(order, after)), size))
