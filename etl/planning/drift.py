"""Whether the API's form has changed so much that a run must not pass for a success. Pure."""

from collections.abc import Mapping
from typing import Final

from etl.models import list_unread_fields

MOST_UNREAD: Final = 20
TENTH: Final = 10

WHOLE: Final = "the whole record"
"""Stands among the fields for a record that was set aside."""


def has_drifted(unread: int, seen: int) -> bool:
    """Whether so many of the records seen had something that can't be read, whole ones included.

    More than 20 and more than a tenth: a few odd records don't make a run incomplete.
    """
    return unread > MOST_UNREAD and unread * TENTH > seen


def count_fields(reasons: Mapping[str, int]) -> dict[str, int]:
    """In how many records each field can't be read, from how often each reason was given."""
    counts: dict[str, int] = {}
    for reason, number in reasons.items():
        for name in list_unread_fields(reason) or [WHOLE]:
            counts[name] = counts.get(name, 0) + number
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def name_fields(counts: Mapping[str, int], most: int = 5) -> str:
    """The fields in words, those of most records first."""
    shown = [f"{name} ({number})" for name, number in counts.items()]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more
