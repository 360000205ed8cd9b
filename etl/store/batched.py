"""`itertools.batched`, which Python has from 3.12 on."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """So many items at a time; the last time, those that are left."""
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch
