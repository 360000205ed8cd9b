"""How counts, durations and suggestions read."""

import difflib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

UNITS: Final = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))


def count(number: int, noun: str) -> str:
    """A number with its noun, which takes an s unless it is one: `1 agent`, `2 agents`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_duration(duration: timedelta) -> str:
    """A duration as the configuration writes it: `15m`, `1h30m`, `0.5s`."""
    seconds, parts = duration.total_seconds(), []
    for unit, length in UNITS[:-1]:
        whole, seconds = divmod(seconds, length)
        parts += [f"{whole:.0f}{unit}"] if whole else []
    return "".join([*parts, f"{seconds:g}s"] if seconds or not parts else parts)


def suggest(word: str, known: Iterable[str], closeness: float = 0.6) -> str | None:
    """The known word that was probably meant, whatever the case; None if none is close.

    `closeness` is difflib's: 1 for the same word, 0 for one without a letter in common.
    """
    by_fold = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(word.strip().casefold(), by_fold, 1, closeness)
    return by_fold[close[0]] if close else None


def did_you_mean(word: str, names: Mapping[str, str | None]) -> str:
    """A question that names the agent that was probably meant, by its id or name; "" if none is.

    `names` are the known agents' names by their ids.
    """
    ids = {name: id for id, name in names.items() if name}
    id = suggest(word, names) or ids.get(suggest(word, ids) or "")
    if id is None:
        return ""
    return f"did you mean {id}{f' ({names[id]})' if names[id] else ''}?"


def suggest_agent(word: str, names: Mapping[str, str | None]) -> str:
    """A hint for a word that is no agent's id: the agent that was meant, else all of them."""
    all_of_them = f"known: {', '.join(names)[:200]}" if names else ""
    return did_you_mean(word, names) or all_of_them
