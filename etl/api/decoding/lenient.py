"""A record whose fields have changed their form: read field by field, as far as there is no doubt.

A field that can't be read counts as absent, so that it never overwrites a stored value. It is
noted with its raw value and the reason; the rest of the record is stored. Pure.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from etl.api.decoding.brackets import split_object
from etl.api.decoding.values import read_count, read_instant, read_number
from etl.api.decoding.wire import (
    CREATOR_FIELDS,
    KNOWN_KEYS,
    UNDECODABLE,
    USAGE_FIELDS,
    WireCreator,
    WireSession,
    WireUsage,
)
from etl.models import ABSENT, LONGEST_ID, STORED_WITHOUT, Absent, Listed, Rejected

DEEPEST: Final = 100
"""Levels of nesting of an unknown key's value. Far more would end the stack of whoever writes it
as JSON again."""

T = TypeVar("T")
_text: Final = msgspec.json.Decoder(str)


class Unread(NamedTuple):
    """A field that can't be read: its column's path, the keys that lead to it, its value as sent.

    `keys` differ from `path` for a key that no column knows: its path is `extra`.
    """

    path: str
    keys: tuple[str, ...]
    raw: bytes
    why: str


class LenientRecord(NamedTuple):
    """A record in the documented form, what no column holds, and what can't be read of it."""

    wire: WireSession
    extra: dict[str, Any]
    unread: list[Unread]

    @property
    def note(self) -> Rejected | None:
        """What is kept beside the session: the fields that it lacks, in their places."""
        if not self.unread:
            return None
        payload: dict[str, Any] = {"id": self.wire.id}
        for one in self.unread:
            place = payload
            for key in one.keys[:-1]:
                place = place.setdefault(key, {})
            place[one.keys[-1]] = msgspec.Raw(one.raw)
        text = msgspec.json.encode(payload).decode(errors="replace")
        # Without the values, so that equal reasons can be counted, and none tells of people.
        fields = dict.fromkeys(f"`$.{one.path}` ({one.why})" for one in self.unread)
        return Rejected(text, STORED_WITHOUT + ", ".join(fields), self.wire.id)


def read_leniently(raw: bytes) -> LenientRecord:
    """Read a record field by field. Raises ValueError if it has no id that can be read."""
    unread: list[Unread] = []
    whole = _Object(split_object(raw), (), unread)
    extra = whole.read_unknown(KNOWN_KEYS)
    wire = WireSession(_read_id(whole.fields))
    for name in ("agent_id", "name", "type", "state", "agent_name"):
        setattr(wire, name, whole.read(name, _text.decode, "not a text"))
    wire.created_at = whole.read("created_at", _read_timestamp, "not a timestamp")
    wire.usage = whole.read_inner("usage", _read_usage, extra, "not an object")
    wire.creator = _read_creator(whole, extra)
    return LenientRecord(wire, extra, unread)


def locate(raw: bytes) -> Listed:
    """Where a record stands that is set aside, as far as it can be read."""
    try:
        fields = split_object(raw)
    except UNDECODABLE:
        return Listed(None, None)
    id: str | None = None
    created_at: datetime | None = None
    with suppress(*UNDECODABLE):
        id = _text.decode(fields.get("id", b""))
    with suppress(*UNDECODABLE):
        created_at = read_instant(msgspec.json.decode(fields.get("created_at", b"")))
    return Listed(id, created_at)


def is_deep(value: Any) -> bool:
    """Whether a value is nested too deeply to be written again safely. Without recursion."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        if not below:
            return False
        level = below
    return True


@dataclass(slots=True)
class _Object:
    """The fields of an object as sent, and how to note those that can't be read."""

    fields: dict[str, bytes]
    keys: tuple[str, ...]
    unread: list[Unread]

    def read(self, name: str, convert: Callable[[bytes], T], why: str) -> T | None | Absent:
        """A field's value; ABSENT if it can't be read, which is noted."""
        raw = self.fields.get(name)
        if raw is None:
            return ABSENT
        if raw == b"null":
            return None
        try:
            return convert(raw)
        except UNDECODABLE:
            keys = (*self.keys, name)
            self.unread.append(Unread(".".join(keys), keys, raw, why))
            return ABSENT

    def read_inner(
        self, name: str, convert: Callable[["_Object"], T], extra: dict[str, Any], why: str
    ) -> T | None | Absent:
        """Read a field that is an object; what no column holds of it goes to `extra`."""

        def read(raw: bytes) -> T:
            inner = _Object(split_object(raw), (*self.keys, name), self.unread)
            known = USAGE_FIELDS if name == "usage" else CREATOR_FIELDS
            if unknown := inner.read_unknown(frozenset(known)):
                extra[name] = unknown
            return convert(inner)

        return self.read(name, read, why)

    def read_unknown(self, known: frozenset[str]) -> dict[str, Any]:
        """The values of the keys that no column holds."""
        extra: dict[str, Any] = {}
        for name in self.fields.keys() - known:
            try:
                extra[name] = _read_any(self.fields[name])
            except UNDECODABLE:
                keys = (*self.keys, name)
                why = "not JSON, or nested too deeply"
                self.unread.append(Unread("extra", keys, self.fields[name], why))
        return {name: extra[name] for name in self.fields if name in extra}


def _read_id(fields: dict[str, bytes]) -> str:
    try:
        return _text.decode(fields["id"])
    except KeyError:
        raise ValueError("there is no id - at `$.id`") from None
    except UNDECODABLE:
        raise ValueError("the id is not a text - at `$.id`") from None


def _read_timestamp(raw: bytes) -> str:
    """In the documented form."""
    return read_instant(msgspec.json.decode(raw)).isoformat()


def _read_usage(inner: _Object) -> WireUsage:
    usage = WireUsage()
    for name in USAGE_FIELDS:
        if name.endswith("_cost"):
            value: Any = inner.read(name, _read_credits, "not a number")
        else:
            value = inner.read(name, _read_tokens, "not a whole number")
        setattr(usage, name, value)
    return usage


def _read_credits(raw: bytes) -> float:
    return read_number(msgspec.json.decode(raw))


def _read_tokens(raw: bytes) -> int:
    return read_count(msgspec.json.decode(raw))


def _read_creator(whole: _Object, extra: dict[str, Any]) -> WireCreator | None | Absent:
    """The creator; a text in its place is the id, unless it looks like a name or an address."""
    raw = whole.fields.get("creator", b"")
    if not raw.startswith(b"{"):
        why = "neither an object nor an id"
        return whole.read("creator", lambda raw: WireCreator(id=_read_bare_id(raw)), why)
    creator = whole.read_inner("creator", _read_person, extra, "not an object")
    if not any(one.keys == ("creator", "id") for one in whole.unread):
        return creator
    # Noted whole: without an id, nothing else says whose session it is.
    others = [one for one in whole.unread if one.keys[0] != "creator"]
    note = Unread("creator.id", ("creator",), raw, "not a text, or too long")
    whole.unread[:] = [*others, note]
    extra.pop("creator", None)
    return ABSENT


def _read_person(inner: _Object) -> WireCreator:
    person = WireCreator(inner.read("id", _read_short_id, "not a text, or too long"))
    for name in CREATOR_FIELDS[1:]:
        setattr(person, name, inner.read(name, _text.decode, "not a text"))
    return person


def _read_short_id(raw: bytes) -> str:
    id = _text.decode(raw)
    if len(id.encode()) > LONGEST_ID:
        raise ValueError("too long")
    return id


def _read_bare_id(raw: bytes) -> str:
    id = _read_short_id(raw)
    if not id or "@" in id or any(char.isspace() for char in id):
        raise ValueError("a name or an address")
    return id


def _read_any(raw: bytes) -> Any:
    value = msgspec.json.decode(raw)
    if is_deep(value):
        raise ValueError("nested too deeply")
    return value
