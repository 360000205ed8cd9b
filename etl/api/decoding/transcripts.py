"""From the response of a retrieve to the messages of a session. Pure.

Every field of a message may be null, absent or of another type; what no column can hold goes to
`extra`. So a transcript is readable whatever its messages are.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Raw

from etl.api.decoding.values import read_instant
from etl.api.decoding.wire import UNDECODABLE
from etl.errors import Malformed
from etl.models import Message

LONGEST_SEARCHED: Final = 100_000
"""Characters of a message that a search looks at.

PostgreSQL's tsvector ends at 1 MiB, which these never reach, and numbers no word beyond the
16,383rd, where they end as well.
"""

MOST_MESSAGES: Final = 100_000
"""Of a session. Millions of tiny ones would take gigabytes."""

BYTES_AT_ONCE: Final = 2**20
ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>u[dD][89a-fA-F]..)|.)", re.DOTALL
)


class _Session(msgspec.Struct, gc=False):
    id: str
    messages: list[Raw] | None


class _Response(msgspec.Struct, gc=False):
    session: _Session


class _Part(msgspec.Struct, gc=False):
    type: Any = None
    text: Any = None


_answer: Final = msgspec.json.Decoder(_Response)
_object: Final = msgspec.json.Decoder(dict[str, Raw])
_text: Final = msgspec.json.Decoder(str | None)
_parts: Final = msgspec.json.Decoder(list[Raw])
_part: Final = msgspec.json.Decoder(_Part)


def decode_transcript(body: bytes, session_id: str) -> list[Message]:
    """The messages in their order; none where the API sent null.

    Raises Malformed where the response doesn't tell of that session's messages.
    """
    try:
        session = _decode_session(body)
    except UNDECODABLE as error:
        raise Malformed(f"the transcript can't be read: {error}") from None
    if session.id != session_id:
        raise Malformed(f"requested session {session_id!r:.80}, got {session.id!r:.80}")
    messages = session.messages or ()
    if len(messages) > MOST_MESSAGES:
        raise Malformed(f"the transcript has more than {MOST_MESSAGES} messages")
    return [_read_message(position, raw) for position, raw in enumerate(messages)]


def _decode_session(body: bytes) -> _Session:
    try:
        # What the decoder leaves as it came, it doesn't look into.
        _check_utf8(body)
        return _answer.decode(body).session
    except UNDECODABLE:
        return _answer.decode(_replace_invalid(body)).session


def _check_utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError if it is none. A part at a time: one emoji makes a text four times
    as large as its bytes.
    """
    decoder = getincrementaldecoder("utf-8")()
    for start in range(0, len(body), BYTES_AT_ONCE):
        decoder.decode(body[start : start + BYTES_AT_ONCE])
    decoder.decode(b"", final=True)


def _replace_invalid(body: bytes) -> bytes:
    """A body with U+FFFD for bytes that are no UTF-8, and for halves of surrogate pairs."""
    whole = body.decode(errors="replace").encode()
    return ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], whole)


def _read_message(position: int, raw: Raw) -> Message:
    try:
        fields = _object.decode(raw)
    except UNDECODABLE:
        return Message(position, extra=_format_json(raw))
    content = _pop_field(fields, "content", _text.decode)
    parts = _pop_field(fields, "parts", bytes)
    return Message(
        position,
        id=_pop_field(fields, "id", _text.decode),
        role=_pop_field(fields, "role", _text.decode),
        content=content,
        created_at=_pop_field(fields, "created_at", _read_instant),
        creator_id=_pop_field(fields, "creator_id", _text.decode),
        parts=_format_json(parts) if parts else None,
        extra=msgspec.json.encode(fields).decode() if fields else None,
        search_text=_search_text(content, parts),
    )


def _pop_field(fields: dict[str, Raw], name: str, read: Callable[[Raw], Any]) -> Any:
    """A field's value, taken out of `fields`; left there if it is not of its type."""
    if name not in fields:
        return None
    try:
        value = read(fields[name])
    except UNDECODABLE:
        return None
    del fields[name]
    return value


def _read_instant(raw: Raw) -> datetime | None:
    value = msgspec.json.decode(raw)
    return None if value is None else read_instant(value)


def _format_json(raw: Raw | bytes) -> str | None:
    """A value as JSON text; None for null."""
    text = bytes(raw).decode()
    return None if text == "null" else text


def _search_text(content: str | None, parts: bytes | None) -> str | None:
    """What a search looks at, if that isn't `content` as it stands."""
    text = content if content and not content.isspace() else _join_text(parts)
    if not text or (text is content and len(text) <= LONGEST_SEARCHED and "\0" not in text):
        return None
    # SQLite's index and PostgreSQL's both end a text at NUL, or refuse it.
    return text[:LONGEST_SEARCHED].replace("\0", " ")


def _join_text(parts: bytes | None) -> str:
    """The text of the parts that are text, a line each."""
    found: list[str] = []
    for raw in _split_parts(parts):
        try:
            part = _part.decode(raw)
        except UNDECODABLE:
            continue
        if part.type == "text" and isinstance(part.text, str):
            found.append(part.text)
    return "\n".join(found)


def _split_parts(parts: bytes | None) -> list[Raw]:
    try:
        return _parts.decode(parts or b"[]")
    except UNDECODABLE:
        return []
