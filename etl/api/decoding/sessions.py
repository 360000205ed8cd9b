"""From the bytes of a response to records. Pure: no clock, no network.

A page is decoded in one typed pass when it holds nothing unforeseen. Otherwise it is taken apart
record by record, so that a bad record costs itself alone, and unknown keys end up in `extra`.
Field facts: the API's OpenAPI text and the SDK's models (docs/gumloop-api.md).
"""

from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from etl.api.decoding.brackets import TOKEN, has_many_brackets
from etl.api.decoding.lenient import is_deep, locate, read_leniently
from etl.api.decoding.values import parse_instant
from etl.api.decoding.wire import (
    CREATOR_FIELDS,
    KNOWN_KEYS,
    UNDECODABLE,
    USAGE_FIELDS,
    LoosePage,
    StrictPage,
    StrictSession,
    Text,
    WireCreator,
    WireResponse,
    WireSession,
    WireUsage,
)
from etl.errors import Malformed
from etl.models import ABSENT, LONGEST_ID, Absent, Creator, Listed, Page, Rejected, Session

_strict_page: Final = msgspec.json.Decoder(StrictPage)
_loose_page: Final = msgspec.json.Decoder(LoosePage)
_strict: Final = msgspec.json.Decoder(StrictSession)
_loose: Final = msgspec.json.Decoder(WireSession)
_answer: Final = msgspec.json.Decoder(WireResponse)

MOST_RECORDS: Final = 10_000
"""On a page. A hundred are requested at most; millions of tiny ones would take gigabytes."""


def decode_page(body: bytes, agent_id: str, page_size: int = 1) -> Page:
    """Decode a list response; raises `Malformed` where the body as a whole isn't one.

    `page_size` is how many records were requested.
    """
    builder = PageBuilder(agent_id, page_size)
    try:
        whole = _strict_page.decode(body)
        _check_number(len(whole.sessions))
        for wire in whole.sessions:
            builder.add_record(wire, {})
    except UNDECODABLE:
        return _decode_apart(body, agent_id, page_size)
    return builder.page(whole.next_cursor)


def decode_records(body: bytes) -> tuple[list[bytes], str | None]:
    """A list response's records as sent, and the next cursor. Raises `Malformed`."""
    try:
        loose = _loose_page.decode(body)
    except UNDECODABLE as error:
        return _split(body, str(error))
    _check_number(len(loose.sessions))
    return [bytes(raw) for raw in loose.sessions], loose.next_cursor or None


def _check_number(records: int) -> None:
    if records > MOST_RECORDS:
        raise Malformed(f"the page holds more than {MOST_RECORDS} records")


def _split(body: bytes, why: str) -> tuple[list[bytes], str | None]:
    """The records where one isn't JSON to the decoder: half a surrogate pair, endless nesting.

    Tells the records apart by brackets alone. Raises `Malformed` with the reason `why`.
    """
    records, depth, begin, element, key = [], 0, 0, 0, b""
    if has_many_brackets(body):
        raise Malformed(f"the response is not a page of sessions: {why}")
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
            _check_number(len(records))
            element = token.end()
            if char != b",":
                envelope = body[:begin] + body[token.start() :]
                return [raw for raw in records if raw], _read_cursor(envelope, why)
        elif char != b",":
            depth -= 1
    raise Malformed(f"the response is not a page of sessions: {why}")


def _read_cursor(envelope: bytes, why: str) -> str | None:
    try:
        return _loose_page.decode(envelope).next_cursor or None
    except UNDECODABLE:
        raise Malformed(f"the response is not a page of sessions: {why}") from None


def decode_retrieved(body: bytes, session_id: str, agent_id: str) -> Page:
    """Decode a retrieve's response; raises `Malformed` where it doesn't tell of that session.

    It holds a single record, and lists nothing.
    """
    try:
        raw = bytes(_answer.decode(body).session)
    except UNDECODABLE as error:
        raise Malformed(f"session {session_id!r:.80} can't be read: {error}") from None
    rejected = []
    try:
        # What only a retrieve shows is left out: no list would ever prove it again.
        session, creator = _make_session(_loose.decode(raw), agent_id, {})
    except UNDECODABLE:
        try:
            read = read_leniently(raw)
            session, creator = _make_session(read.wire, agent_id, {})
        except UNDECODABLE as error:
            bad = Rejected(raw.decode(errors="replace"), str(error), session_id)
            return Page([], [], [bad], [])
        rejected = [read.note] if read.note else []
    if session.id != session_id:
        raise Malformed(f"requested session {session_id!r:.80}, got {session.id!r:.80}")
    return Page([session], [creator] if creator else [], rejected, [])


def _decode_apart(body: bytes, agent_id: str, page_size: int) -> Page:
    records, next_cursor = decode_records(body)
    builder = PageBuilder(agent_id, page_size)
    for raw in records:
        builder.read(raw)
    return builder.page(next_cursor)


class PageBuilder:
    """Collects the records of one page in their order."""

    def __init__(self, agent_id: str, page_size: int) -> None:
        self.agent_id = agent_id
        self.page_size = page_size
        self.agent_name: str | None = None
        self.sessions: list[Session] = []
        self.creators: dict[str, Creator] = {}
        self.rejected: list[Rejected] = []
        self.listed: list[Listed] = []
        self.foreign = 0

    def read(self, raw: bytes) -> None:
        """Take one record as bytes; what can't be stored is set aside with its reason."""
        try:
            self.add_record(*_read(raw))
        except UNDECODABLE:
            self._read_leniently(raw)

    def _read_leniently(self, raw: bytes) -> None:
        try:
            read = read_leniently(raw)
            self.add_record(read.wire, read.extra)
        except UNDECODABLE as error:
            self._reject(raw, str(error))
            return
        if read.note is not None:
            self.rejected.append(read.note)

    def add_record(self, wire: WireSession, extra: dict[str, Any]) -> None:
        """Take one decoded record. Raises ValueError if it can't be stored."""
        session, creator = _make_session(wire, self.agent_id, extra)
        if creator is not None and self.creators.setdefault(creator.id, creator) != creator:
            self.creators[creator.id] = _merge_creators(self.creators[creator.id], creator)
        if self.agent_name is None and wire.agent_name:
            self.agent_name = wire.agent_name
        self.sessions.append(session)
        self.listed.append(Listed(session.id, session.created_at or None))

    def page(self, next_cursor: str | None) -> Page:
        """Everything collected. Raises `Malformed` if the whole page is another agent's.

        A single record may be a bad one, unless it stands in the place of a page of several. Its
        id then tells nobody that it is listed.
        """
        if self.foreign and self.foreign == len(self.listed):
            if self.foreign > 1 or (next_cursor and self.page_size > 1):
                message = f"a page of another agent's sessions was sent for {self.agent_id!r}"
                raise Malformed(message)
            self.listed = [Listed(None, self.listed[0].created_at)]
        return Page(
            self.sessions,
            list(self.creators.values()),
            self.rejected,
            self.listed,
            next_cursor or None,
            self.agent_name,
        )

    def _reject(self, raw: bytes, reason: str) -> None:
        listed = locate(raw)
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
    extra = _collect_extra(msgspec.json.decode(raw))
    if is_deep(extra):
        raise ValueError("nested too deeply")
    return wire, extra


def _collect_extra(record: dict[str, Any]) -> dict[str, Any]:
    """What no column holds; of `usage` and `creator`, their unknown keys alone."""
    extra = {key: value for key, value in record.items() if key not in KNOWN_KEYS}
    for key, known in (("usage", USAGE_FIELDS), ("creator", CREATOR_FIELDS)):
        inner = record.get(key) or {}
        unknown = {name: value for name, value in inner.items() if name not in known}
        if unknown:
            extra[key] = unknown
    return extra


def _make_session(
    wire: WireSession, agent_id: str, extra: dict[str, Any]
) -> tuple[Session, Creator | None]:
    """The stored form of a record. Raises ValueError with the reason if it has none."""
    _check_id("id", wire.id)
    if wire.agent_id is not ABSENT and wire.agent_id is not None and wire.agent_id != agent_id:
        raise ValueError(f"{FOREIGN}: {wire.agent_id!r:.100} - at `$.agent_id`")
    creator, creator_id, nameless = _read_creator(wire.creator)
    if nameless:
        extra = {**extra, "creator": nameless | extra.get("creator", {})}
    values = (
        wire.id,
        agent_id,
        creator_id,
        wire.name,
        wire.type,
        wire.state,
        _read_instant(wire.created_at),
        *_flatten_usage(wire.usage),
        extra if extra else ABSENT,
    )
    return Session(*values), creator


def _flatten_usage(usage: WireUsage | None | Absent) -> tuple[Any, ...]:
    if usage is None or usage is ABSENT:
        return (usage,) * len(USAGE_FIELDS)
    return msgspec.structs.astuple(usage)


def _read_creator(
    wire: WireCreator | None | Absent,
) -> tuple[Creator | None, str | None | Absent, dict[str, Any] | None]:
    """The creator, the session's reference to it, and what an id-less one leaves for `extra`."""
    if not isinstance(wire, WireCreator):
        return None, wire, None
    if wire.id is None or wire.id is ABSENT:
        return None, None, {k: v for k, v in msgspec.to_builtins(wire).items() if v is not None}
    creator = _make_creator(*msgspec.structs.astuple(wire))
    return creator, creator.id, None


@lru_cache(maxsize=4096)
def _make_creator(id: str, *fields: Text) -> Creator:
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


def _read_instant(text: Text) -> datetime | None | Absent:
    return parse_instant(text) if isinstance(text, str) else text
