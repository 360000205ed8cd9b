"""The records that travel between the layers: what the API said, and what a run did.

Instants are aware datetimes in UTC. `ABSENT` marks a key that the API did not send, which is not
the same as a null that it sent on purpose: an absent key never overwrites a stored value.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

ABSENT: Final = UNSET
Absent = UnsetType

Mode = Literal["incremental", "backfill", "reconcile", "verify"]
Status = Literal["running", "succeeded", "incomplete", "failed", "interrupted", "skipped"]
"""How a run ended. A skipped one, whose agent another process was working on, leaves no row."""
Order = Literal["newest", "oldest"]

LONGEST_ID: Final = 2000
"""In UTF-8 bytes. PostgreSQL's index rows end near 2,700; a longer id is rejected everywhere."""

BEGINNING: Final = datetime.min.replace(tzinfo=UTC)
"""Stands for the end of history: earlier than any session."""

TICK: Final = timedelta(microseconds=1)
"""The grid of instants; spans are half-open on it."""

ENDLESS: Final = datetime.max.replace(tzinfo=UTC)
"""Stands for the end of the calendar: no session is later."""

CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""Hosts' clocks may disagree by this much; a time further ahead can't be true."""

SETTLED_STATES: Final = ("completed", "failed")
"""States in which a session rests. None is final: a message reopens it. Source: API fact sheet."""

WATCHED_STATES: Final = ("queued", "processing", "approval_required")
"""Open states that are watched as long as they last; idle and unknown ones only for a while."""

ALIASES: Final = frozenset({"gumball", "analytics"})
"""Ids that create an agent when they are first used: they are never sent."""


def is_alias(agent_id: str) -> bool:
    """Whether a request for this id could create an agent."""
    return agent_id.strip().casefold() in ALIASES


def just_after(instant: datetime) -> datetime:
    """The next instant of the grid; the last one has none and is its own."""
    return instant + TICK if instant < ENDLESS else instant


def floor_second(instant: datetime) -> datetime:
    """The start of an instant's second: the API dates sessions by the whole second.

    A session created after a request, in the same second, is dated before that request.
    """
    return instant.replace(microsecond=0)


class Creator(msgspec.Struct, frozen=True, gc=False):
    """Who started a session. A null or absent field says nothing: it never blanks a known one."""

    id: str
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    profile_picture: str | None = None


class Session(msgspec.Struct, frozen=True, gc=False):
    """One session as a response of the API showed it; field order is the column order.

    Credits are decimal numbers of credits, tokens are counts. Both accumulate as a session goes on
    and are overwritten, never added up. `extra` is the JSON text of what no column holds.
    """

    id: str
    agent_id: str
    creator_id: str | None | Absent = ABSENT
    name: str | None | Absent = ABSENT
    type: str | None | Absent = ABSENT
    state: str | None | Absent = ABSENT
    created_at: datetime | None | Absent = ABSENT
    credit_cost: float | None | Absent = ABSENT
    tool_credit_cost: float | None | Absent = ABSENT
    flow_credit_cost: float | None | Absent = ABSENT
    input_tokens: int | None | Absent = ABSENT
    cached_input_tokens: int | None | Absent = ABSENT
    cache_write_input_tokens: int | None | Absent = ABSENT
    output_tokens: int | None | Absent = ABSENT
    reasoning_tokens: int | None | Absent = ABSENT
    extra: dict[str, Any] | Absent = ABSENT


STORED_WITHOUT: Final = "stored without "
"""How a reason begins if the record was stored without the fields that can't be read."""

UNREAD_FIELD: Final = re.compile(r"`\$\.([a-z_.]+)`")


def list_unread_fields(reason: str) -> list[str]:
    """The fields that a record was stored without; none if it was set aside whole."""
    return UNREAD_FIELD.findall(reason) if reason.startswith(STORED_WITHOUT) else []


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that can't be stored as a session, or not whole: what can't, as sent, and why."""

    payload: str
    reason: str
    id: str | None = None

    @property
    def is_partial(self) -> bool:
        """Whether the rest of the record was stored."""
        return self.reason.startswith(STORED_WITHOUT)


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A record's place in the list, readable even where the record itself was rejected."""

    id: str | None
    created_at: datetime | None


class Page(msgspec.Struct, frozen=True):
    """One decoded response: every record that it held, in the server's order."""

    sessions: list[Session]
    creators: list[Creator]
    rejected: list[Rejected]
    listed: list[Listed]
    next_cursor: str | None = None
    agent_name: str | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message of a session's transcript; field order is the column order.

    `parts` and `extra` are JSON texts; `extra` holds what no column can. `search_text` is what a
    search looks at where that is not `content` as it stands.
    """

    position: int
    id: str | None = None
    role: str | None = None
    content: str | None = None
    created_at: datetime | None = None
    creator_id: str | None = None
    parts: str | None = None
    extra: str | None = None
    search_text: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A point where a walk can enter the list: a cursor (None: the list's own first page).

    `at` is the instant of the first row seen behind that cursor. A walk that enters here proves
    only strictly beyond its first row: below it newest-first, above it oldest-first.
    `issued_at` is when the page that held the cursor was requested; None if that is not known.
    """

    order: Order
    cursor: str | None
    at: datetime
    issued_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Span:
    """Instants `[oldest, newest)` whose sessions are all stored, as the API listed them.

    `proven_at` is the time of the earliest request in the proof; None where a proof exists but
    no freshness is claimed. `below` and `above` are where walks go on from the edges.
    """

    oldest: datetime
    newest: datetime
    proven_at: datetime | None
    below: Entry | None = None
    above: Entry | None = None


class FoundAgent(msgspec.Struct, frozen=True):
    """An agent as the API's list of agents has it; one that isn't active is retired."""

    id: str
    name: str | None = None
    team_id: str | None | Absent = ABSENT
    active: bool = True


class Team(msgspec.Struct, frozen=True):
    """A team that the credential sees."""

    id: str
    name: str | None = None


@dataclass(slots=True)
class Counts:
    """What became of the records of a run; the columns of `sync_runs` under the same names.

    `partial` counts those that were stored without a field that can't be read: they are among
    the others, and no column.
    """

    requests: int = 0
    pages: int = 0
    seen: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    missing: int = 0
    partial: int = 0

    @property
    def repeated(self) -> int:
        """Records that changed nothing, of sessions that the run had seen before."""
        return self.seen - self.inserted - self.updated - self.unchanged - self.rejected

    def add(self, other: "Counts") -> None:
        """Add another tally to this one."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a piece of work has come: things done, and the share of the whole (None: unknown).

    `of` is an agent's id, or whatever else the work is on; `unit` is what is counted.
    """

    of: str
    unit: str
    number: int
    share: float | None


@dataclass(slots=True)
class Transcripts:
    """What a run did about transcripts after its sync; printed by `--json` under these names.

    `changed` are those of `fetched` whose messages were written; `left` wait for the next run.
    """

    fetched: int = 0
    changed: int = 0
    failed: int = 0
    left: int = 0
    requests: int = 0
    error: str | None = None
    cause: Exception | None = field(default=None, compare=False)
    """What `error` tells in words."""


@dataclass(slots=True)
class Pruned:
    """What was deleted for its age: transcripts, payloads of rejected records, runs."""

    transcripts: int = 0
    payloads: int = 0
    runs: int = 0


@dataclass(slots=True)
class AgentReport:
    """How one agent's part of a run went; printed by `--json` under these names."""

    agent_id: str
    mode: Mode
    status: Status = "running"
    counts: Counts = field(default_factory=Counts)
    watermark: datetime | None = None
    error: str | None = None
    warnings: list[str] = field(default_factory=list)
    cause: Exception | None = None
    """What `error` tells in words."""
    transcripts: Transcripts | None = None
