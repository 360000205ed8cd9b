"""How agents and people are called on the page. Names are untrusted text of any length."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from etl.analytics.report.figure_queries import Creator

LONGEST: Final = 200
"""Characters of a name that the page holds; CSS shows as many as there is room for."""


def shorten(text: str) -> str:
    """A name that fits the page, on one line."""
    line = " ".join(text[: LONGEST * 4].split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def label_agents(names: Mapping[str, str | None]) -> dict[str, str]:
    """A label for each agent: its name; its id too where others have the name, or alone."""
    shown = {id: shorten(name or "") or shorten(id) for id, name in names.items()}
    times = Counter(shown.values())
    return {
        id: label if times[label] == 1 else shorten(f"{label} ({shorten(id)})")
        for id, label in shown.items()
    }


def label_creator(creator: Creator) -> str:
    """A person's name, else the address, else the id."""
    return shorten(creator.name or creator.email or creator.id or "No creator named")
