"""Sessions that a list should have shown and didn't: they are suspected, then marked missing."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, func, or_, select, update

from etl.planning.freshness import are_believable
from etl.planning.walks.absence import AbsenceCheck
from etl.store.schema import tables as t
from etl.store.schema.column_types import Instant
from etl.store.schema.engine import insert_into

# Built once, as every save needs them.
SUSPECTS: Final = select(t.suspects.c.session_id, t.suspects.c.suspected_at).where(
    t.suspects.c.agent_id == bindparam("agent")
)
_C: Final = t.sessions.c
# What a clock that was ahead has dated later than now says nothing.
PRESENT: Final = select(_C.id).where(
    _C.agent_id == bindparam("agent"),
    _C.missing_since.is_(None),
    or_(_C.as_of < bindparam("since"), _C.as_of > bindparam("now", type_=Instant)),
)
WITHIN: Final = PRESENT.where(_C.created_at >= bindparam("oldest"), _C.created_at < bindparam("to"))
UNDATED: Final = PRESENT.where(_C.created_at.is_(None))


class MissingResult(NamedTuple):
    """What became of the suspects at the end of a run."""

    marked: int
    withheld: int


def suspect_absent(
    connection: Connection,
    agent_id: str,
    check: AbsenceCheck,
    seen_since: Callable[[str, datetime], bool],
    now: datetime,
) -> list[str]:
    """Note stored sessions that a page should have held and didn't, and no later response showed.

    Returns their ids.
    """
    asked_at = check.requested_at
    within = {"agent": agent_id, "since": asked_at, "oldest": check.oldest, "to": check.newest}
    present = connection.scalars(WITHIN, within | {"now": now})
    gone = [id for id in present if id not in check.held and not seen_since(id, asked_at)]
    add_suspects(connection, agent_id, [(id, asked_at) for id in gone])
    return gone


def suspect_undated(
    connection: Connection, agent_id: str, held: frozenset[str], since: datetime, now: datetime
) -> None:
    """Note stored sessions without `created_at` that a walk of the whole list didn't show."""
    mine = {"agent": agent_id, "since": since, "now": now}
    present = connection.scalars(UNDATED, mine)
    add_suspects(connection, agent_id, [(id, since) for id in present if id not in held])


def add_suspects(
    connection: Connection, agent_id: str, gone: Iterable[tuple[str, datetime]]
) -> None:
    """Note suspects, each with the time of the request that didn't show it."""
    rows = [{"agent_id": agent_id, "session_id": id, "suspected_at": at} for id, at in gone]
    if rows:
        statement = insert_into(connection, t.suspects)
        again = {"suspected_at": statement.excluded.suspected_at}
        keys = ["agent_id", "session_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=again), rows)


def clear_suspects(connection: Connection, agent_id: str, seen: dict[str, datetime]) -> None:
    """Drop the suspects that a later request has shown."""
    c = t.suspects.c
    suspects = read_suspects(connection, agent_id)
    for id in [id for id, at in suspects.items() if id in seen and seen[id] > at]:
        connection.execute(delete(t.suspects).where(c.agent_id == agent_id, c.session_id == id))


def read_suspects(connection: Connection, agent_id: str) -> dict[str, datetime]:
    """The suspects of an agent, and when the request was sent that didn't show each."""
    found = connection.execute(SUSPECTS, {"agent": agent_id})
    return {row.session_id: row.suspected_at for row in found}


def mark_all_missing(
    connection: Connection, agent_id: str, now: datetime, since: datetime
) -> MissingResult:
    """Mark the suspects since then missing if they are few enough to be believed; else none.

    Older ones stay: nobody could look at them. A session that is another agent's by now, or has
    been seen since, is not missing.
    """
    c, s = t.sessions.c, t.suspects.c
    ours = (s.agent_id == agent_id, s.suspected_at >= since)
    present = (c.agent_id == agent_id, c.missing_since.is_(None))
    absent = (*ours, s.session_id == c.id, or_(c.as_of <= s.suspected_at, c.as_of > now))
    # By the suspects, which are few: SQLite would look for them among all sessions of the agent.
    suspects = select(func.count()).select_from(t.suspects).join(t.sessions, s.session_id == c.id)
    count = connection.execute(suspects.where(*absent, *present)).scalar_one()
    settled = MissingResult(0, count)
    if count and are_believable(count, count_present(connection, agent_id)):
        gone_at = select(s.suspected_at).where(s.agent_id == agent_id, s.session_id == c.id)
        values = {"missing_since": gone_at.scalar_subquery(), "updated_at": now}
        # One statement: what another process commits meanwhile is judged anew.
        marked = update(t.sessions).where(exists().where(*absent), *present).values(values)
        settled = MissingResult(connection.execute(marked).rowcount, 0)
    connection.execute(delete(t.suspects).where(*ours))
    return settled


def drop_older(connection: Connection, agent_id: str, before: datetime) -> list[datetime]:
    """Drop the suspects of earlier runs. Returns the instants at which they lie."""
    s, c = t.suspects.c, t.sessions.c
    stale = (s.agent_id == agent_id, s.suspected_at < before)
    places = select(c.created_at).join(t.suspects, s.session_id == c.id).where(*stale)
    dated = places.where(c.created_at.is_not(None)).distinct()
    found = list(connection.scalars(dated))
    connection.execute(delete(t.suspects).where(*stale))
    return found


def count_present(connection: Connection, agent_id: str) -> int:
    """How many of an agent's stored sessions are not missing."""
    c = t.sessions.c
    query = select(func.count()).where(c.agent_id == agent_id, c.missing_since.is_(None))
    return int(connection.execute(query).scalar_one())
