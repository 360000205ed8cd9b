"""What a batch of responses changes in the rows that are stored. Pure.

A row is a tuple in the order of `COLUMNS`, in the form that the database gives back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Final

import msgspec

from etl.models import ABSENT, Creator, Session

FIELDS: Final = Session.__struct_fields__
"""The columns that a response fills."""

COLUMNS: Final = (*FIELDS, "first_seen_at", "updated_at", "missing_since", "as_of", "first_run_id")
CREATED_AT: Final = FIELDS.index("created_at")
STATE: Final = FIELDS.index("state")
EXTRA: Final = FIELDS.index("extra")
WIDTH: Final = len(FIELDS)
FIRST_SEEN, UPDATED, MISSING, AS_OF, FIRST_RUN = range(WIDTH, WIDTH + 5)

Row = tuple[Any, ...]


@dataclass(slots=True)
class Changes:
    """The rows to write, the states to note, and what became of each record.

    A session's first state needs no note while it is its only one: then the row has a
    `first_run_id`, and tells it.
    """

    new: dict[str, Row] = field(default_factory=dict)
    changed: dict[str, Row] = field(default_factory=dict)
    states: dict[tuple[str, Any], Row] = field(default_factory=dict)
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def insert(self, record: Row, as_of: Any, now: Any, run_id: int) -> None:
        """Note a session that is seen for the first time."""
        facts = [None if value is ABSENT else value for value in record]
        self.new[record[0]] = (*facts, as_of, now, None, as_of, run_id)
        self.inserted += 1

    def update(self, old: Row, facts: Row, as_of: Any, now: Any, run_id: int) -> None:
        """Note a session that has changed, and its states if that is what has changed."""
        id, seen_at, first_run = old[0], old[FIRST_SEEN], old[FIRST_RUN]
        if facts[STATE] != old[STATE] and (first_run is None or as_of > seen_at):
            if first_run is not None:
                self.states[id, seen_at] = (id, old[STATE], seen_at, first_run)
                first_run = None
            self.states[id, as_of] = (id, facts[STATE], as_of, run_id)
        rows = self.new if id in self.new else self.changed
        rows[id] = (*facts, seen_at, now, None, as_of, first_run)
        self.updated += 1


def is_outdated(as_of: Any, known: Any, now: Any) -> bool:
    """Whether a response requested at `as_of` is older than a known one.

    A known time in the future, which a clock that was ahead has left, outdates nothing.
    """
    return bool(as_of < known <= now)


def never_seen(_id: str, _row: Row) -> bool:
    """`seen` for a run that doesn't track what it has seen."""
    return False


def compare_rows(
    stored: Mapping[str, Row],
    records: Sequence[Row],
    as_ofs: Sequence[Any],
    now: Any,
    run_id: int,
    join_extra: Callable[[Any, Any], Any],
    was_seen: Callable[[str, Row], bool] = never_seen,
) -> Changes:
    """Compare records, each with the time of the request that brought it, with what is stored.

    An absent key keeps what is stored. A response older than the row's own is ignored.
    One that changes nothing is `unchanged`, unless this batch holds it twice or the run `was_seen`
    to have had it.
    """
    if records and not stored:
        fresh = {row[0]: row for row in _make_first_rows(records, as_ofs, now, run_id)}
        if len(fresh) == len(records):
            return Changes(fresh, inserted=len(fresh))
    changes, seen = Changes(), set[str]()
    for record, as_of in zip(records, as_ofs, strict=True):
        id = record[0]
        old = changes.new.get(id) or changes.changed.get(id) or stored.get(id)
        if old is None:
            changes.insert(record, as_of, now, run_id)
            continue
        facts = _merge(old, record, join_extra)
        is_same = facts == old[:WIDTH] and old[MISSING] is None
        if is_same or is_outdated(as_of, old[AS_OF], now):
            changes.unchanged += id not in seen and not was_seen(id, old)
            seen.add(id)
        else:
            changes.update(old, facts, as_of, now, run_id)
    return changes


def _make_first_rows(
    records: Sequence[Row], as_ofs: Sequence[Any], now: Any, run_id: int
) -> Iterable[Row]:
    """The rows of sessions seen for the first time. By column: a quarter less than by row."""
    facts = [[None if v is ABSENT else v for v in column] for column in zip(*records, strict=True)]
    return zip(*facts, as_ofs, repeat(now), repeat(None), as_ofs, repeat(run_id), strict=False)


def _merge(old: Row, record: Row, join_extra: Callable[[Any, Any], Any]) -> Row:
    """The row after this response: what it sent, and what is stored where it sent nothing."""
    # Most are as they were. Comparing them whole takes a fifth of going through them.
    if record[:EXTRA] == old[:EXTRA] and record[EXTRA] in (ABSENT, old[EXTRA]):
        return old[:WIDTH]
    new = [was if is_now is ABSENT else is_now for was, is_now in zip(old, record, strict=False)]
    if record[EXTRA] and old[EXTRA] is not None and record[EXTRA] != old[EXTRA]:
        new[EXTRA] = join_extra(old[EXTRA], record[EXTRA])
    return tuple(new)


def merge_creator(
    old: Row | None, creator: Creator, now: Any, as_of: Any, *, is_late: bool = False
) -> Row | None:
    """The creator's row after this response; None where nothing changes.

    A null says nothing: it never blanks what is known, and a response older than the row's, or one
    that is late, fills what is null. Columns: the fields, `first_seen_at`, `updated_at`, `as_of`.
    """
    facts = msgspec.structs.astuple(creator)
    if old is None:
        return (*facts, now, now, as_of)
    is_late = is_late or is_outdated(as_of, old[-1], now)
    pairs = zip(old, facts, strict=False)
    if is_late:
        new = tuple(said if was is None else was for was, said in pairs)
    else:
        new = tuple(was if said is None else said for was, said in pairs)
    if new == old[: len(facts)]:
        return None
    return (*new, old[-3], now, old[-1] if is_late else as_of)
