"""Cheap draws: worlds are large, and Random's own weighted choices cost several times as much."""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def spread(values: Sequence[T], weights: Iterable[float]) -> list[T]:
    """Repeat each value as its weight demands, for `choose` to draw from."""
    pairs = zip(values, weights, strict=True)
    return [value for value, weight in pairs for _ in range(int(weight))]


def sample(draw: Callable[[Random], float], size: int = 4096) -> list[float]:
    """Return numbers of a costly distribution, the same each time, for `choose` to draw from."""
    rng = Random(1)
    return [draw(rng) for _ in range(size)]


def choose(rng: Random, values: Sequence[T]) -> T:
    """Return one of *values*, at the cost of one draw."""
    return values[int(rng.random() * len(values))]
