"""Telling the parts of a JSON text apart by brackets alone, where a decoder refuses it. Pure.

It needs no stack, whatever the nesting, and no memory but for the parts.
"""

import re
from typing import Final

import msgspec

MOST_BRACKETS: Final = 2_000_000
"""To open something; each takes a microsecond."""

# Possessive: a string of 16 MB would otherwise leave 2 GB of places to go back to.
TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]', re.DOTALL)
COLON: Final = re.compile(rb"\s*+:\s*+")

_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text: Final = msgspec.json.Decoder(str)


def has_many_brackets(raw: bytes) -> bool:
    """Whether there are too many to go through."""
    return raw.count(b"[") + raw.count(b"{") > MOST_BRACKETS


def split_object(raw: bytes) -> dict[str, bytes]:
    """The values of an object as sent, by their keys; of a repeated key, the last one.

    Raises ValueError, or msgspec.DecodeError, for what is no object.
    """
    try:
        return {key: bytes(value) for key, value in _object.decode(raw).items()}
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _split_by_brackets(raw)


def _split_by_brackets(raw: bytes) -> dict[str, bytes]:
    fields: dict[str, bytes] = {}
    if has_many_brackets(raw):
        raise ValueError("the record is not JSON")
    depth, key, begin = 0, "", 0
    for token in TOKEN.finditer(raw):
        char = token[0][:1]
        if char == b'"':
            if depth == 1 and not begin:
                key, begin = _text.decode(token[0]), _end_of_colon(raw, token.end())
        elif char in b"[{":
            depth += 1
        elif depth == 1:
            if begin:
                fields[key], begin = raw[begin : token.start()].strip(), 0
            if char == b"}":
                return fields
        elif char != b",":
            depth -= 1
    raise ValueError("the record is not JSON")


def _end_of_colon(raw: bytes, at: int) -> int:
    colon = COLON.match(raw, at)
    if colon is None:
        raise ValueError("the record is not JSON")
    return colon.end()
