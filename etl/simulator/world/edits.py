"""An account whose sessions can be added, changed, removed and restored."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from etl.simulator.times import (
    NO_INSTANT,
    SECOND,
    format_instant,
    parse_instant,
    to_datetime,
    to_instant,
)
from etl.simulator.world.account import Account, encode
from etl.simulator.world.generate import draw_free_id
from etl.simulator.world.rows import Row
from etl.simulator.world.session_factory import grow_usage


class _Marker:
    """The type of ABSENT and NOW."""


# As the value of a field: the record shall not have that key at all.
ABSENT = _Marker()
# As created_at: the time at which the call is made.
NOW = _Marker()


class EditableAccount(Account):
    """An account that changes. Every method may be called from any thread.

    Its clock stands at *now*; without one it follows the real clock. Only `live` moves a given
    clock on, and it can move a following one ahead of real time: to avoid that, give a *now*
    that lies in the past.
    """

    def __init__(self, *, now: datetime | None = None, seed: int = 1) -> None:
        started = to_instant(now or datetime.now(UTC)) // SECOND * SECOND
        super().__init__(seed=seed, lived_to=started)
        # New sessions a second and agent, on average, as time passes.
        self.pace = 0.001
        self._follows = now is None
        self._removed: dict[str, Row] = {}
        self._planted = 0
        self._messages: dict[str, Any] = {}

    @property
    def now(self) -> datetime:
        """The time of this world."""
        lived = to_datetime(self.lived_to)
        now = max(lived, datetime.now(UTC)) if self._follows else lived
        return now + timedelta(seconds=self.clock_ahead)

    def add_session(
        self,
        agent_id: str,
        *,
        created_at: datetime | str | _Marker | None = NOW,
        trigger_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Add a session and return its id; *fields* (`id` too) replace or, if ABSENT, drop keys.

        A *created_at* given as text is kept as it is; one that is None, or can't be read,
        makes it the oldest of all. Raises ValueError if the id is taken.
        """
        with self.lock:
            session_id = fields.pop("id", None) or draw_free_id(self.rng, self._rows)
            text = self._format_created_at(created_at)
            recipe, number = self._recipes[agent_id], self.rng.getrandbits(60)
            record = recipe.make(number, session_id, self.lived_to, "completed")
            record |= {"agent_name": self._agents[agent_id].name, "created_at": text, **fields}
            row = self._plant(agent_id, session_id, _find_place(text), record)
            row.trigger_id = trigger_id
            return row.key[1]

    def _format_created_at(self, created_at: datetime | str | _Marker | None) -> str | None:
        if isinstance(created_at, _Marker):
            return format_instant(to_instant(self.now) // SECOND * SECOND)
        if isinstance(created_at, datetime):
            return format_instant(to_instant(created_at))
        return created_at

    def add_raw(self, agent_id: str, record: Any, at: datetime) -> str:
        """Plant any JSON value in the list, at the place of *at*; return what to address it by.

        That is the record's own id if it has a usable one, else an invented text.
        """
        with self.lock:
            own = record.get("id") if isinstance(record, dict) else None
            self._planted += 1
            usable = isinstance(own, str) and own not in self._rows
            row_id = own if isinstance(own, str) and usable else f"planted {self._planted}"
            self._plant(agent_id, row_id, to_instant(at), record)
            return row_id

    def _plant(self, agent_id: str, row_id: str, instant: int, record: Any) -> Row:
        if row_id in self._rows or row_id in self._removed:
            raise ValueError(f"the id {row_id!r} is taken")
        row = Row(agent_id, (instant, row_id), _read_state(record))
        row.body = encode(_drop_absent(record))
        row.added = time.monotonic()
        self._rows[row_id] = row
        self._agents[agent_id].rows.add(row)
        return row

    def change(self, session_id: str, **fields: Any) -> None:
        """Set *fields* of a session to any values, valid or not; ABSENT drops a key.

        The session moves if its created_at does; one that can't be read leaves it in place.
        Raises KeyError if there is no such session, TypeError if it is not an object.
        """
        with self.lock:
            row = self._rows[session_id]
            record = json.loads(self._encode_row(row))
            if not isinstance(record, dict):
                raise TypeError(f"{session_id!r} is a record without fields")
            self._replace(row, {**record, **fields}, moved="created_at" in fields)

    def _replace(self, row: Row, record: dict[str, Any], *, moved: bool) -> None:
        instant, row_id = row.key
        if moved:
            instant = _find_place(record["created_at"], instant)
        rows = self._agents[row.agent_id].rows
        rows.drop(row)
        row.key, row.state = (instant, row_id), _read_state(record)
        rows.add(row)
        row.body = encode(_drop_absent(record))

    def set_transcript(self, session_id: str, messages: Any) -> None:
        """Let a session's transcript be *messages*, of any shape, in place of those made up."""
        self._messages[session_id] = messages

    def get_transcript(self, session_id: str) -> dict[str, Any]:
        """Return the `messages` that a session was given, under that key; else nothing."""
        found = self._messages
        return {"messages": found[session_id]} if session_id in found else {}

    def reopen(self, session_id: str) -> None:
        """Take a session back to processing, as a new message does; its usage grows."""
        with self.lock:
            usage = grow_usage(self.session(session_id).get("usage"), self.rng)
            self.change(session_id, state="processing", usage=usage)

    def remove(self, session_id: str) -> None:
        """Take a session out of the list and of retrieval; raises KeyError if it is not there."""
        with self.lock:
            row = self._rows.pop(session_id)
            self._encode_row(row)
            self._agents[row.agent_id].rows.drop(row)
            self._removed[session_id] = row

    def restore(self, session_id: str) -> None:
        """Bring a removed session back as it was; raises KeyError if it was not removed."""
        with self.lock:
            row = self._removed.pop(session_id)
            self._rows[session_id] = row
            self._agents[row.agent_id].rows.add(row)


def _find_place(created_at: object, otherwise: int = NO_INSTANT) -> int:
    """Return where a session with this created_at stands in the list."""
    if created_at is None or created_at is ABSENT:
        return NO_INSTANT
    instant = parse_instant(created_at) if isinstance(created_at, str) else None
    return otherwise if instant is None else instant


def _read_state(record: Any) -> str | None:
    state = record.get("state") if isinstance(record, dict) else None
    return state if isinstance(state, str) else None


def _drop_absent(record: Any) -> Any:
    if not isinstance(record, dict):
        return record
    return {name: value for name, value in record.items() if value is not ABSENT}
