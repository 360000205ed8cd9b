"""What must change in a lake so that it equals the database: two sorted streams, side by side."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol


class Keyed(Protocol):
    """A row of the database: its key, and a digest that tells whether it changed."""

    @property
    def key(self) -> Any:
        """Sorts as the lake's keys do."""

    @property
    def digest(self) -> int:
        """64 bits."""


LakeRow = tuple[Any, int, int, int]
"""A row of the lake: key, digest, the number of its file, its own number in the file."""


class Change(NamedTuple):
    """A row to write, None if there is none any more, and the lake's rows that are stale by it."""

    kind: Literal["inserted", "updated", "deleted"]
    row: Any
    stale: tuple[LakeRow, ...] = ()


class Unsorted(Exception):
    """A stream is not in the order of its keys, so a comparison of it would be wrong."""


def compare(database: Iterable[Keyed], lake: Iterable[LakeRow]) -> Iterator[Change]:
    """Compare rows by key and digest; both streams come in the order of their keys.

    A key may be in the lake several times, though it never should: then all of them are stale,
    and the row is written once. Raises Unsorted.
    """
    rest = iter(lake)
    held = next(rest, None)
    last: Any = None
    for row in database:
        key = row.key
        if last is not None and key <= last:
            raise Unsorted
        last = key
        while held is not None and held[0] < key:
            yield Change("deleted", None, (held,))
            held = next(rest, None)
        if held is None or held[0] != key:
            yield Change("inserted", row)
            continue
        first, held = held, next(rest, None)
        if held is not None and held[0] == key:
            stale = [first]
            while held is not None and held[0] == key:
                stale.append(held)
                held = next(rest, None)
            yield Change("updated", row, tuple(stale))
        elif first[1] != row.digest:
            yield Change("updated", row, (first,))
    while held is not None:
        yield Change("deleted", None, (held,))
        held = next(rest, None)
