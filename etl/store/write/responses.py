"""Saving what responses hold: sessions, states, creators, the agent's name, bad records."""

from collections.abc import Callable, Iterable
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, update

from etl.errors import StoreError
from etl.models import Counts, Creator, Mode, Rejected, Session
from etl.store.runs.lease import Lease
from etl.store.schema import tables as t
from etl.store.schema.engine import insert_into
from etl.store.write.diff import (
    AS_OF,
    COLUMNS,
    Changes,
    Row,
    compare_rows,
    is_outdated,
    merge_creator,
)
from etl.store.write.rejected import note_rejected, resolve_rejected
from etl.store.write.row_writer import RowWriter

CREATOR_COLUMNS: Final = tuple(column.name for column in t.creators.c)
MOST_SIGHTINGS: Final = 20_000
"""Sessions, and creators, whose last response is remembered: more than walks may have in flight."""

STATE_COLUMNS: Final = tuple(column.name for column in t.state_changes.c)


class Run(NamedTuple):
    """One agent's part of a run, with the lease that lets it write."""

    id: int
    lease: Lease
    agent_id: str
    mode: Mode
    started_at: datetime


class Response(NamedTuple):
    """Records that one request brought, and when it was sent: they count as of then."""

    sessions: list[Session]
    creators: list[Creator]
    rejected: list[Rejected]
    requested_at: datetime
    agent_name: str | None = None


class ConcurrentWrite(StoreError):
    """Another agent's run wrote a session since it was loaded: the work must be done anew."""


class ResponseWriter:
    """Saves responses within a transaction; `rows` speaks the database's own SQL."""

    def __init__(self, rows: RowWriter, clock: Callable[[], datetime]) -> None:
        self._rows = rows
        self._clock = clock
        self._sightings: dict[type, dict[str, datetime]] = {Session: {}, Creator: {}}

    def save(self, connection: Connection, run: Run, responses: list[Response]) -> Counts:
        """Save what the responses hold, and count what became of it."""
        now = self._clock()
        ordered = sorted(responses, key=lambda response: response.requested_at)
        sessions: list[tuple[Session, datetime]] = []
        rejected: list[tuple[Rejected, datetime]] = []
        for response in ordered:
            rejected += [(bad, response.requested_at) for bad in response.rejected]
            for storable in self._rows.convert_sessions(response.sessions):
                if isinstance(storable, Rejected):
                    rejected.append((storable, response.requested_at))
                else:
                    sessions.append((storable, response.requested_at))
        self._save_agent_name(connection, run, responses, now)
        self._save_creators(connection, ordered, now)
        changes = self._compare(connection, run, sessions, now)
        self._write(connection, changes)
        partial = self._save_rejected(connection, run, rejected, sessions)
        rejected_whole = len(rejected) - partial
        return Counts(
            seen=len(sessions) + rejected_whole,
            inserted=changes.inserted,
            updated=changes.updated,
            unchanged=changes.unchanged,
            rejected=rejected_whole,
            partial=partial,
        )

    def note(self, responses: list[Response]) -> None:
        """Remember who was shown when, once that is committed.

        A row's own `as_of` tells of the response that changed it last, not of those that confirmed
        it: they leave no trace in the row, so that a quiet run changes none.
        """
        now = self._clock()
        for response in responses:
            at = response.requested_at
            for kind, shown in ((Session, response.sessions), (Creator, response.creators)):
                seen = self._sightings[kind]
                seen |= {r.id: at for r in shown if not is_outdated(at, seen.get(r.id, at), now)}
        for seen in self._sightings.values():
            if len(seen) > MOST_SIGHTINGS:
                for id in list(seen)[: MOST_SIGHTINGS // 2]:
                    seen.pop(id, None)

    def was_seen_since(self, kind: type, id: str, asked_at: datetime) -> bool:
        """Whether a response requested later has shown a session or a creator."""
        return is_outdated(asked_at, self._sightings[kind].get(id, asked_at), self._clock())

    def _compare(
        self,
        connection: Connection,
        run: Run,
        sessions: list[tuple[Session, datetime]],
        now: datetime,
    ) -> Changes:
        stored = self._rows.load(connection, "sessions", COLUMNS, {one.id for one, _ in sessions})
        fresh = self._drop_outdated(sessions, stored)
        # Once per response, not per record: writing an instant as text is slow.
        instants = {at: self._rows.convert_instant(at) for at in {at for _, at in fresh}}
        return compare_rows(
            stored,
            self._rows.make_rows([session for session, _ in fresh]),
            [instants[at] for _, at in fresh],
            self._rows.convert_instant(now),
            run.id,
            self._rows.join_extra,
            self._make_seen(run),
        )

    def _write(self, connection: Connection, changes: Changes) -> None:
        self._rows.insert(connection, "sessions", COLUMNS, changes.new.values())
        written = self._rows.upsert(connection, "sessions", COLUMNS, changes.changed.values())
        if written < len(changes.changed):
            hint = "try again later"
            raise ConcurrentWrite("other processes keep writing the same sessions", hint)
        self._rows.insert(connection, "state_changes", STATE_COLUMNS, changes.states.values())

    def _make_seen(self, run: Run) -> Callable[[str, Row], bool]:
        """Tells of a stored session, by its id and row, whether this run has had it already.

        A row that the run wrote says so; one that it found unchanged is remembered for a while.
        """
        begun, since = run.started_at, self._rows.convert_instant(run.started_at)
        sightings = self._sightings[Session]

        def was_seen(id: str, row: Row) -> bool:
            return bool(row[AS_OF] >= since) or (id in sightings and sightings[id] >= begun)

        return was_seen

    def _drop_outdated(
        self, records: list[tuple[Any, datetime]], stored: dict[str, Row]
    ) -> list[tuple[Any, datetime]]:
        """Those that no later response has shown; only what is stored can be newer."""
        return [
            (record, at)
            for record, at in records
            if record.id not in stored or not self.was_seen_since(type(record), record.id, at)
        ]

    def _save_creators(
        self, connection: Connection, responses: list[Response], now: datetime
    ) -> None:
        """Add and correct creators; several agents may name the same people."""
        # Pages name the same few people again and again: only the last mention counts.
        named = {
            creator: response.requested_at
            for response in responses
            for creator in response.creators
            if self._rows.convert_text(creator.id) == creator.id
        }
        if not named:
            return
        rows = self._rows.load(connection, "creators", CREATOR_COLUMNS, {c.id for c in named})
        changed: dict[str, Row] = {}
        for creator, asked_at in sorted(named.items(), key=itemgetter(1)):
            clean = self._clean_creator(creator)
            at, old = self._rows.convert_instant(asked_at), rows.get(clean.id)
            is_late = self.was_seen_since(Creator, clean.id, asked_at)
            row = merge_creator(old, clean, self._rows.convert_instant(now), at, is_late=is_late)
            if row is not None:
                rows[clean.id] = changed[clean.id] = row
        self._rows.upsert(connection, "creators", CREATOR_COLUMNS, changed.values())

    def _clean_creator(self, creator: Creator) -> Creator:
        values = msgspec.structs.asdict(creator)
        return Creator(**{name: v and self._rows.convert_text(v) for name, v in values.items()})

    def _save_rejected(
        self,
        connection: Connection,
        run: Run,
        rejected: list[tuple[Rejected, datetime]],
        sessions: list[tuple[Session, datetime]],
    ) -> int:
        """Note what can't be read, settle what came right. Returns how many are partial."""
        note_rejected(connection, run.agent_id, run.id, rejected, self._rows.convert_text)
        stored = {session.id: (session, at) for session, at in sessions}
        anew = {bad.id: bad.reason for bad, _ in rejected}
        resolve_rejected(connection, run.agent_id, stored, anew, self._clock())
        return sum(bad.is_partial for bad, _ in rejected)

    def _save_agent_name(
        self, connection: Connection, run: Run, responses: list[Response], now: datetime
    ) -> None:
        """The agent's name as the newest head page has it."""
        names = [response.agent_name for response in responses if response.agent_name]
        if not names:
            return
        c, name = t.agents.c, self._rows.convert_text(names[-1])
        connection.execute(
            update(t.agents)
            .where(c.id == run.agent_id, c.name.is_distinct_from(name))
            .values(name=name, updated_at=now)
        )


def save_retrievals(connection: Connection, retrieved: Iterable[tuple[str, datetime]]) -> None:
    """Note when sessions were retrieved by their id."""
    rows = [{"session_id": id, "retrieved_at": at} for id, at in retrieved]
    if not rows:
        return
    statement = insert_into(connection, t.retrievals)
    again = {"retrieved_at": statement.excluded.retrieved_at}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["session_id"], set_=again), rows
    )
