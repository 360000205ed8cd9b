"""From the bytes of an answer to records. Pure: no clock, no network.

A page is decoded in one typed pass when it holds nothing unforeseen. Otherwise it is taken apart
record by record, so that a bad record costs itself alone, and unknown keys end up in `extra`.
Field facts: the API's OpenAPI text and the SDK's models (docs/gumloop-api.md).
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Raw

from etl.errors import Malformed
from etl.models import ABSENT, Absent, Creator, Listed, Page, Rejected, Session

__all__ = [
    "LONGEST_ID",
    "RetrievedSession",
    "decode_page",
    "decode_records",
    "decode_retrieved",
    "parse_instant",
]

LONGEST_ID: Final = 2000
"""In UTF-8 bytes. PostgreSQL's index rows end near 2,700; a longer id is rejected everywhere."""

Count = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Text = str | None | Absent
Number = float | None | Absent
Tokens = Count | None | Absent


class WireCreator(msgspec.Struct, gc=False):
    """The `creator` object; every field may be null, `id` too."""

    id: Text = ABSENT
    first_name: Text = ABSENT
    last_name: Text = ABSENT
    email: Text = ABSENT
    profile_picture: Text = ABSENT


class WireUsage(msgspec.Struct, gc=False):
    """The `usage` object; accumulates over a session's life."""

    credit_cost: Number = ABSENT
    tool_credit_cost: Number = ABSENT
    flow_credit_cost: Number = ABSENT
    input_tokens: Tokens = ABSENT
    cached_input_tokens: Tokens = ABSENT
    cache_write_input_tokens: Tokens = ABSENT
    output_tokens: Tokens = ABSENT
    reasoning_tokens: Tokens = ABSENT


class WireSession(msgspec.Struct, gc=False):
    """One record of the list, or the `session` object of a retrieve."""

    id: str
    agent_id: Text = ABSENT
    name: Text = ABSENT
    type: Text = ABSENT
    state: Text = ABSENT
    created_at: Text = ABSENT
    agent_name: Text = ABSENT
    creator: WireCreator | None | Absent = ABSENT
    usage: WireUsage | None | Absent = ABSENT
    messages: Raw | Absent = ABSENT


class StrictCreator(WireCreator, forbid_unknown_fields=True, gc=False):
    """A creator with no key that we don't know."""


class StrictUsage(WireUsage, forbid_unknown_fields=True, gc=False):
    """A usage with no key that we don't know."""


class StrictSession(WireSession, forbid_unknown_fields=True, gc=False):
    """A record with no key that we don't know: nothing of it belongs into `extra`."""

    creator: StrictCreator | None | Absent = ABSENT
    usage: StrictUsage | None | Absent = ABSENT


class StrictPage(msgspec.Struct, gc=False):
    """The list's answer where every record is as foreseen."""

    sessions: list[StrictSession]
    next_cursor: str | None = None


class LoosePage(msgspec.Struct, gc=False):
    """The list's answer with its records left undecoded."""

    sessions: list[Raw]
    next_cursor: str | None = None


class WireResponse(msgspec.Struct, gc=False):
    """The answer of a retrieve."""

    session: Raw


class RetrievedSession(NamedTuple):
    """One session by its id, and its creator if the answer told of one; or the bad record."""

    session: Session | None
    creator: Creator | None
    rejected: Rejected | None


_strict_page: Final = msgspec.json.Decoder(StrictPage)
_loose_page: Final = msgspec.json.Decoder(LoosePage)
_strict: Final = msgspec.json.Decoder(StrictSession)
_loose: Final = msgspec.json.Decoder(WireSession)
_answer: Final = msgspec.json.Decoder(WireResponse)

TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
UNDECODABLE = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
USAGE_FIELDS: Final = WireUsage.__struct_fields__
CREATOR_FIELDS: Final = WireCreator.__struct_fields__
KNOWN_KEYS: Final = frozenset(WireSession.__struct_fields__)


def decode_page(body: bytes, agent_id: str) -> Page:
    """Decode a list answer; raises `Malformed` where the body as a whole isn't one."""
    builder = PageBuilder(agent_id)
    try:
        whole = _strict_page.decode(body)
        for wire in whole.sessions:
            builder.take(wire, {})
    except UNDECODABLE:
        return _decode_apart(body, agent_id)
    return builder.page(whole.next_cursor)


def decode_records(body: bytes) -> tuple[list[bytes], str | None]:
    """A list answer's records as sent, and the next cursor. Raises `Malformed`."""
    try:
        loose = _loose_page.decode(body)
        return [bytes(raw) for raw in loose.sessions], loose.next_cursor or None
    except UNDECODABLE as error:
        return _split(body, str(error))


def _split(body: bytes, why: str) -> tuple[list[bytes], str | None]:
    """The same where a record isn't JSON to the decoder: half a surrogate pair, endless nesting.

    Tells the records apart by brackets alone. Raises `Malformed` with the reason `why`.
    """
    records, depth, begin, element, key = [], 0, 0, 0, b""
    for token in TOKEN.finditer(body):
        char = token[0][:1]
        if char == b'"':
            key = token[0] if depth == 1 else key
        elif char in b"[{":
            depth += 1
            if depth == 2 and not begin and key == b'"sessions"':
                begin = element = token.end()
        elif begin and depth == 2:
            records.append(body[element : token.start()].strip())
            element = token.end()
            if char != b",":
                envelope = body[:begin] + body[token.start() :]
                return [raw for raw in records if raw], _cursor_of(envelope, why)
        elif char != b",":
            depth -= 1
    raise Malformed(f"the answer is not a page of sessions: {why}")


def _cursor_of(envelope: bytes, why: str) -> str | None:
    try:
        return _loose_page.decode(envelope).next_cursor or None
    except UNDECODABLE:
        raise Malformed(f"the answer is not a page of sessions: {why}") from None


def decode_retrieved(body: bytes, session_id: str, agent_id: str) -> RetrievedSession:
    """Decode a retrieve's answer; raises `Malformed` where it doesn't tell of that session.

    A record that can't be stored is set aside, as in a list.
    """
    try:
        raw = bytes(_answer.decode(body).session)
    except UNDECODABLE as error:
        raise Malformed(f"the answer for session {session_id!r} can't be read: {error}") from None
    try:
        # What only a retrieve shows is left out: no list would ever prove it again.
        session, creator = _session(_loose.decode(raw), agent_id, {})
    except UNDECODABLE as error:
        rejected = Rejected(raw.decode(errors="replace"), str(error), session_id)
        return RetrievedSession(None, None, rejected)
    if session.id != session_id:
        raise Malformed(f"asked for session {session_id!r}, the answer is of {session.id!r}")
    return RetrievedSession(session, creator, None)


def _decode_apart(body: bytes, agent_id: str) -> Page:
    records, next_cursor = decode_records(body)
    builder = PageBuilder(agent_id)
    for raw in records:
        builder.read(raw)
    return builder.page(next_cursor)


class PageBuilder:
    """Collects the records of one page in their order."""

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.agent_name: str | None = None
        self.sessions: list[Session] = []
        self.creators: dict[str, Creator] = {}
        self.rejected: list[Rejected] = []
        self.listed: list[Listed] = []
        self.foreign = 0

    def read(self, raw: bytes) -> None:
        """Take one record as bytes; what can't be stored is set aside with its reason."""
        try:
            self.take(*_read(raw))
        except UNDECODABLE as error:
            self._reject(raw, str(error))

    def take(self, wire: WireSession, extra: dict[str, Any]) -> None:
        """Take one decoded record. Raises ValueError if it can't be stored."""
        session, creator = _session(wire, self.agent_id, extra)
        if creator is not None and self.creators.setdefault(creator.id, creator) != creator:
            self.creators[creator.id] = _merge_creators(self.creators[creator.id], creator)
        if self.agent_name is None and wire.agent_name:
            self.agent_name = wire.agent_name
        self.sessions.append(session)
        self.listed.append(Listed(session.id, session.created_at or None))

    def page(self, next_cursor: str | None) -> Page:
        """Everything collected. Raises `Malformed` if the whole page is another agent's."""
        if self.foreign and self.foreign == len(self.listed):
            raise Malformed(f"a page of another agent's sessions was sent for {self.agent_id!r}")
        return Page(
            self.sessions,
            list(self.creators.values()),
            self.rejected,
            self.listed,
            next_cursor or None,
            self.agent_name,
        )

    def _reject(self, raw: bytes, reason: str) -> None:
        listed = _place(raw)
        self.foreign += reason.startswith(FOREIGN)
        self.rejected.append(Rejected(raw.decode(errors="replace"), reason, listed.id))
        self.listed.append(listed)


FOREIGN: Final = "belongs to another agent"


def _read(raw: bytes) -> tuple[WireSession, dict[str, Any]]:
    """A record and its `extra`, empty where every key is known."""
    try:
        return _strict.decode(raw), {}
    except UNDECODABLE:
        wire = _loose.decode(raw)
    return wire, _extra(msgspec.json.decode(raw))


def _extra(record: dict[str, Any]) -> dict[str, Any]:
    """What no column holds; of `usage` and `creator`, their unknown keys alone."""
    extra = {key: value for key, value in record.items() if key not in KNOWN_KEYS}
    for key, known in (("usage", USAGE_FIELDS), ("creator", CREATOR_FIELDS)):
        inner = record.get(key) or {}
        unknown = {name: value for name, value in inner.items() if name not in known}
        if unknown:
            extra[key] = unknown
    return extra


def _session(
    wire: WireSession, agent_id: str, extra: dict[str, Any]
) -> tuple[Session, Creator | None]:
    """The stored form of a record. Raises ValueError with the reason if it has none."""
    _check_id("id", wire.id)
    if wire.agent_id is not ABSENT and wire.agent_id is not None and wire.agent_id != agent_id:
        raise ValueError(f"{FOREIGN}: {wire.agent_id!r:.100} - at `$.agent_id`")
    creator, creator_id, nameless = _creator(wire.creator)
    if nameless:
        extra = {**extra, "creator": nameless | extra.get("creator", {})}
    values = (
        wire.id,
        agent_id,
        creator_id,
        wire.name,
        wire.type,
        wire.state,
        _instant(wire.created_at),
        *_usage(wire.usage),
        extra if extra else ABSENT,
    )
    return Session(*values), creator


def _usage(usage: WireUsage | None | Absent) -> tuple[Any, ...]:
    if usage is None or usage is ABSENT:
        return (usage,) * len(USAGE_FIELDS)
    return msgspec.structs.astuple(usage)


def _creator(
    wire: WireCreator | None | Absent,
) -> tuple[Creator | None, str | None | Absent, dict[str, Any] | None]:
    """The creator, the session's reference to it, and what an id-less one leaves for `extra`."""
    if not isinstance(wire, WireCreator):
        return None, wire, None
    if wire.id is None or wire.id is ABSENT:
        return None, None, {k: v for k, v in msgspec.to_builtins(wire).items() if v is not None}
    creator = _known_creator(*msgspec.structs.astuple(wire))
    return creator, creator.id, None


@lru_cache(maxsize=4096)
def _known_creator(id: str, *fields: Text) -> Creator:
    # A page names the same few people again and again: checking each once saves a tenth of decode.
    _check_id("creator.id", id)
    return Creator(id, *(value if isinstance(value, str) else None for value in fields))


def _merge_creators(first: Creator, other: Creator) -> Creator:
    """Two mentions of one creator: what the first leaves open, the other may tell."""
    names = Creator.__struct_fields__
    return Creator(*(getattr(first, n) or getattr(other, n) for n in names))


def _check_id(field: str, value: str) -> None:
    if len(value) > LONGEST_ID // 4 and len(value.encode()) > LONGEST_ID:
        raise ValueError(f"an id longer than {LONGEST_ID} bytes - at `$.{field}`")


def _instant(text: Text) -> datetime | None | Absent:
    return parse_instant(text) if isinstance(text, str) else text


def parse_instant(text: str) -> datetime:
    """An instant in UTC from any form the platform emits; without an offset it is UTC.

    Raises ValueError for anything else, a bare date included.
    """
    if len(text) < 16 or text[4] != "-":
        raise ValueError(f"not a timestamp: {text!r:.60} - at `$.created_at`")
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is UTC:
            return instant
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"not a timestamp: {text!r:.60} - at `$.created_at`") from None


class _Place(msgspec.Struct, gc=False):
    """The two fields that tell a record's place, whatever they hold."""

    id: Any = None
    created_at: Any = None


def _place(raw: bytes) -> Listed:
    """Where a rejected record stands, as far as it can be read."""
    try:
        place = msgspec.json.decode(raw, type=_Place)
    except UNDECODABLE:
        return Listed(None, None)
    try:
        created_at = parse_instant(place.created_at) if isinstance(place.created_at, str) else None
    except (ValueError, OverflowError):
        created_at = None
    return Listed(place.id if isinstance(place.id, str) else None, created_at)
