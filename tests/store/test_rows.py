"""What a batch changes, held against a model that keeps every look."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from etl.models import ABSENT
from etl.store.write.diff import (
    AS_OF,
    COLUMNS,
    FIELDS,
    FIRST_RUN,
    FIRST_SEEN,
    STATE,
    Row,
    compare_rows,
)

Look = tuple[str, str | None, int]
"""An id, the state shown, and when it was asked for."""

looks = st.tuples(
    st.sampled_from("ab"), st.sampled_from(["idle", "failed", None]), st.integers(0, 9)
)
batches = st.lists(st.lists(looks, max_size=5), max_size=6)


def response(id: str, state: str | None) -> Row:
    """A record that holds nothing else."""
    return tuple({"id": id, "state": state}.get(name, ABSENT) for name in FIELDS)


def no_extra(*_: Any) -> Any:
    raise AssertionError("no record holds unknown keys")


class Stored:
    """The two tables, and the view on them, as the database has them."""

    def __init__(self) -> None:
        self.sessions: dict[str, Row] = {}
        self.changes: dict[tuple[str, int], Row] = {}

    def save(self, batch: Iterable[Look], run_id: int) -> None:
        looks = list(batch)
        responses, as_ofs = [response(*look[:2]) for look in looks], [look[2] for look in looks]
        changes = compare_rows(self.sessions, responses, as_ofs, 1000, run_id, no_extra)
        assert not changes.new.keys() & self.sessions.keys()
        assert not changes.states.keys() & self.changes.keys(), "a key can be inserted once"
        self.sessions |= changes.new | changes.changed
        self.changes |= changes.states

    def states(self) -> dict[str, list[tuple[Any, ...]]]:
        firsts = [
            (row[0], row[STATE], row[FIRST_SEEN], row[FIRST_RUN])
            for row in self.sessions.values()
            if row[FIRST_RUN] is not None
        ]
        found: dict[str, list[tuple[Any, ...]]] = {}
        for id, *look in sorted([*firsts, *self.changes.values()], key=lambda row: row[2]):
            found.setdefault(id, []).append(tuple(look))
        return found


def model(batches: Iterable[tuple[int, list[Look]]]) -> dict[str, list[tuple[Any, ...]]]:
    """The same where each first sight is a row of its own."""
    noted: dict[str, list[tuple[Any, ...]]] = {}
    for run_id, batch in batches:
        for id, state, at in batch:
            history = noted.setdefault(id, [])
            if history and (at < history[-1][1] or state == history[-1][0]):
                continue
            if history and at == history[-1][1]:
                history.pop()
            history.append((state, at, run_id))
    return noted


@given(batches)
def test_every_state_is_told_once_first_ones_by_the_session(batches: list[list[Look]]) -> None:
    # No two requests are sent at one instant; the order in which they are saved is any.
    timed = [
        (run, sorted(((id, state, 10 * at + run) for id, state, at in batch), key=lambda x: x[2]))
        for run, batch in enumerate(batches)
    ]
    stored = Stored()
    for run_id, batch in timed:
        stored.save(batch, run_id)

    assert stored.states() == model(timed)


def test_a_session_that_never_changed_has_no_row_of_states() -> None:
    stored = Stored()
    for run_id in (1, 2):
        stored.save([("a", "idle", run_id)], run_id)

    assert stored.changes == {}
    assert stored.states() == {"a": [("idle", 1, 1)]}


def test_what_an_older_schema_noted_is_not_noted_again() -> None:
    """There the first state has its row, and `first_seen_at` may lie after the next look."""
    stored = Stored()
    row = dict.fromkeys(COLUMNS) | {"id": "a", "state": "idle", "first_seen_at": 5, "as_of": 3}
    stored.sessions["a"] = tuple(row.values())
    stored.changes["a", 3] = ("a", "idle", 3, 1)

    stored.save([("a", "failed", 4)], 2)

    assert stored.states() == {"a": [("idle", 3, 1), ("failed", 4, 2)]}
    assert stored.sessions["a"][AS_OF] == 4
