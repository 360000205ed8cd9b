"""Saving what answers hold: sessions, states, creators, the agent's name, bad records."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from etl.errors import StoreError
from etl.models import Counts, Creator, Mode, Rejected, Session
from etl.store.schema import tables as t
from etl.store.schema.engine import insert_into
from etl.store.write.diff import AS_OF, COLUMNS, Row, compare_rows, creator_row
from etl.store.write.lease import Lease

__all__ = ["ConcurrentWrite", "Response", "ResponseWriter", "Run"]

CREATOR_COLUMNS: Final = tuple(column.name for column in t.creators.c)
MOST_SIGHTINGS: Final = 20_000
"""Sessions, and creators, whose last answer is remembered: more than walks may have in flight."""

UNRESOLVED: Final = select(t.rejected_records.c.session_id).where(
    t.rejected_records.c.agent_id == bindparam("agent"), t.rejected_records.c.resolved_at.is_(None)
)
"""Built once, as every save needs it."""

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
    """Saves answers within a transaction; `rows` speaks the database's own SQL."""

    def __init__(self, rows: Any, clock: Callable[[], datetime]) -> None:
        self._rows = rows
        self._clock = clock
        self._sightings: dict[type, dict[str, datetime]] = {Session: {}, Creator: {}}

    def save(self, connection: Connection, run: Run, responses: list[Response]) -> Counts:
        """Save what the answers hold, and count what became of it."""
        now = self._clock()
        ordered = sorted(responses, key=lambda response: response.requested_at)
        rejected = [
            (bad, response.requested_at) for response in ordered for bad in response.rejected
        ]
        sessions: list[tuple[Session, datetime]] = []
        for response in ordered:
            for storable in self._rows.storable(response.sessions):
                kind = rejected if isinstance(storable, Rejected) else sessions
                kind.append((storable, response.requested_at))
        self._save_agent_name(connection, run, responses, now)
        self._save_creators(connection, ordered, now)
        ids = {session.id for session, _ in sessions}
        stored = self._rows.load(connection, "sessions", COLUMNS, ids)
        fresh = self._not_outdated(sessions, stored)
        # Once per answer, not per record: writing an instant as text is slow.
        instants = {
            response.requested_at: self._rows.instant(response.requested_at)
            for response in responses
        }
        changes = compare_rows(
            stored,
            self._rows.rows([session for session, _ in fresh]),
            [instants[at] for _, at in fresh],
            self._rows.instant(now),
            run.id,
            self._rows.join_extra,
            self._seen_in(run),
        )
        self._rows.insert(connection, "sessions", COLUMNS, changes.new.values())
        written = self._rows.upsert(connection, "sessions", COLUMNS, changes.changed.values())
        if written < len(changes.changed):
            raise ConcurrentWrite(
                "other processes keep writing the same sessions", "try again later"
            )
        self._rows.insert(connection, "state_changes", STATE_COLUMNS, changes.states.values())
        self._save_rejected(connection, run, rejected, ids)
        return Counts(
            seen=len(sessions) + len(rejected),
            inserted=changes.inserted,
            updated=changes.updated,
            unchanged=changes.unchanged,
            rejected=len(rejected),
        )

    def note(self, responses: list[Response]) -> None:
        """Remember who was shown when, once that is committed.

        A row's own `as_of` tells of the answer that changed it last, not of those that confirmed
        it: they leave no trace in the row, so that a quiet run changes none.
        """
        now = self._clock()
        for response in responses:
            at = response.requested_at
            for kind, shown in ((Session, response.sessions), (Creator, response.creators)):
                seen = self._sightings[kind]
                seen |= {r.id: at for r in shown if not at < seen.get(r.id, at) <= now}
        for seen in self._sightings.values():
            if len(seen) > MOST_SIGHTINGS:
                for id in list(seen)[: MOST_SIGHTINGS // 2]:
                    seen.pop(id, None)

    def seen_since(self, kind: type, id: str, asked_at: datetime) -> bool:
        """Whether an answer asked for later has shown a session or a creator.

        One asked for in the future was dated by a clock that has been set back since.
        """
        shown_at = self._sightings[kind].get(id, asked_at)
        return shown_at > asked_at and shown_at <= self._clock()

    def _seen_in(self, run: Run) -> Callable[[str, Row], bool]:
        """Tells of a stored session, by its id and row, whether this run has had it already.

        A row that the run wrote says so; one that it found unchanged is remembered for a while.
        """
        begun, since = run.started_at, self._rows.instant(run.started_at)
        sightings = self._sightings[Session]

        def was_seen(id: str, row: Row) -> bool:
            return bool(row[AS_OF] >= since) or (id in sightings and sightings[id] >= begun)

        return was_seen

    def _not_outdated(
        self, records: list[tuple[Any, datetime]], stored: dict[str, Row]
    ) -> list[tuple[Any, datetime]]:
        """Those that no later answer has shown; only what is stored can be newer."""
        return [
            (record, at)
            for record, at in records
            if record.id not in stored or not self.seen_since(type(record), record.id, at)
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
            if self._rows.text(creator.id) == creator.id
        }
        if not named:
            return
        rows = self._rows.load(connection, "creators", CREATOR_COLUMNS, {c.id for c in named})
        changed: dict[str, Row] = {}
        for creator, asked_at in sorted(named.items(), key=itemgetter(1)):
            clean = self._clean_creator(creator)
            at, old = self._rows.instant(asked_at), rows.get(clean.id)
            is_late = self.seen_since(Creator, clean.id, asked_at)
            row = creator_row(old, clean, self._rows.instant(now), at, is_late=is_late)
            if row is not None:
                rows[clean.id] = changed[clean.id] = row
        self._rows.upsert(connection, "creators", CREATOR_COLUMNS, changed.values())

    def _clean_creator(self, creator: Creator) -> Creator:
        values = msgspec.structs.asdict(creator)
        return Creator(**{name: v and self._rows.text(v) for name, v in values.items()})

    def _save_rejected(
        self,
        connection: Connection,
        run: Run,
        rejected: list[tuple[Rejected, datetime]],
        stored: set[str],
    ) -> None:
        """Set bad records aside, one row per payload; those that came right are resolved."""
        table = t.rejected_records
        for record, received_at in rejected:
            payload = self._rows.text(record.payload)
            values = {"agent_id": run.agent_id, "run_id": run.id, "received_at": received_at}
            values |= {"payload": payload, "reason": self._rows.text(record.reason)}
            values |= {"session_id": record.id and self._rows.text(record.id)}
            digest = hashlib.sha256(payload.encode()).hexdigest()
            statement = insert_into(connection, table).values(values | {"payload_sha256": digest})
            renewed = ("run_id", "received_at", "payload", "reason")
            again = {name: statement.excluded[name] for name in renewed}
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["agent_id", "payload_sha256"],
                    set_=again | {"resolved_at": None},
                )
            )
        self._resolve(connection, run, stored)

    def _resolve(self, connection: Connection, run: Run, stored: set[str]) -> None:
        """Records of these sessions that were rejected once are right now."""
        ids = connection.execute(UNRESOLVED, {"agent": run.agent_id}).scalars()
        right = stored.intersection(ids)
        if right:
            table = t.rejected_records
            unresolved = (table.c.agent_id == run.agent_id, table.c.resolved_at.is_(None))
            connection.execute(
                update(table)
                .where(*unresolved, table.c.session_id.in_(right))
                .values(resolved_at=self._clock())
            )

    def _save_agent_name(
        self, connection: Connection, run: Run, responses: list[Response], now: datetime
    ) -> None:
        """The agent's name as the newest head page has it."""
        names = [response.agent_name for response in responses if response.agent_name]
        if names:
            self._rename(connection, run.agent_id, names[-1], now)

    def _rename(self, connection: Connection, agent_id: str, name: str, now: datetime) -> None:
        table, clean = t.agents, self._rows.text(name)
        connection.execute(
            update(table)
            .where(table.c.id == agent_id, table.c.name.is_distinct_from(clean))
            .values(name=clean, updated_at=now)
        )
