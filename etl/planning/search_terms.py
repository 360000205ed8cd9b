"""What a search looks for, and where in a text it was found. Pure.

The databases cut texts into words by themselves; here words are only cut at signs.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from etl.errors import ConfigError

MOST_CHARACTERS: Final = 500
"""Characters of a search in all. PostgreSQL ignores words of more than 2,046 bytes."""

UNIT: Final = re.compile(r'"([^"]*)"?|([^\s"]+)')
WORD: Final = re.compile(r"[^\W_]+")
STRANGE: Final = re.compile(r"[\0\ud800-\udfff]")


class Snippet(NamedTuple):
    """A text around a hit; `begin` and `end` tell where in it the hit is (both 0: not known)."""

    text: str
    begin: int
    end: int


def parse_phrases(arguments: Iterable[str]) -> list[str]:
    """The words to look for; words within quotes, the shell's or their own, are one phrase.

    What has neither letter nor digit is left out. Raises ConfigError if it is too much.
    """
    found: list[str] = []
    for argument in arguments:
        clean = STRANGE.sub(" ", argument)
        units = UNIT.findall(clean) if '"' in clean else [(clean, "")]
        found += [quoted or plain for quoted, plain in units if WORD.search(quoted or plain)]
    if sum(map(len, found)) > MOST_CHARACTERS:
        raise ConfigError(
            f"a search of more than {MOST_CHARACTERS} characters", "look for fewer words"
        )
    return list(dict.fromkeys(found))


def find_snippet(text: str, looked_for: Sequence[str], width: int) -> Snippet:
    """About `width` characters around the first hit, on one line."""
    hits = (_compile_phrase(phrase).search(text) for phrase in looked_for)
    hit = min(filter(None, hits), key=lambda found: found.start(), default=None)
    if hit is None:
        return Snippet(_join_lines(text[: 4 * width])[:width], 0, 0)
    # A reader starts at the left, and a terminal may cut the right: the hit stands near the left.
    begin = max(0, hit.start() - width * 3 // 8)
    before, found = _join_lines(text[begin : hit.start()]), _join_lines(hit[0])[:width]
    rest = max(0, width - len(before) - len(found))
    after = _join_lines(text[hit.end() : hit.end() + 4 * rest])[:rest]
    lead = "…" if begin else ""
    tail = "…" if hit.end() + len(after) < len(text) else ""
    start = len(lead + before)
    return Snippet(lead + before + found + after + tail, start, start + len(found))


def _compile_phrase(phrase: str) -> "re.Pattern[str]":
    words = r"[\W_]+".join(map(re.escape, WORD.findall(phrase)))
    return re.compile(rf"(?<![^\W_]){words}(?![^\W_])", re.IGNORECASE)


def _join_lines(text: str) -> str:
    return re.sub(r"\s+", " ", text)
