"""Cursors: a place in a list, as the base64 of JSON that the API documents."""

import base64
import binascii
import hashlib
import json
from typing import Any

from etl.simulator.http.errors import ApiError, bad_request
from etl.simulator.times import NO_INSTANT, format_instant, parse_instant
from etl.simulator.world.rows import Key, Order


def encode_cursor(key: Key, order: Order, filters: str = "") -> str:
    """Return the cursor that goes on after *key*; *filters* is what it is bound to."""
    instant, session_id = key
    value = None if instant == NO_INSTANT else format_instant(instant)
    place = {"sort_value": value, "interaction_id": session_id, "sort_by": order}
    if filters:
        place["filters"] = _digest(filters)
    return base64.b64encode(json.dumps(place).encode()).decode()


def decode_cursor(text: str, order: Order, filters: str = "") -> Key:
    """Return the key after which the page begins.

    A cursor with only a `sort_value` begins strictly beyond that instant.
    Raises ApiError (400 invalid_cursor) if it is malformed or bound to another order or filters.
    """
    place = _load(text)
    if place.get("sort_by", order) != order:
        raise _make_refusal("cursor belongs to another sort_order")
    if place.get("filters", "") != (_digest(filters) if filters else ""):
        raise _make_refusal("cursor belongs to other filters")
    return _make_key(place, order)


def _make_key(place: dict[str, Any], order: Order) -> Key:
    instant = _parse_instant(place["sort_value"])
    session_id = place.get("interaction_id")
    if isinstance(session_id, str):
        return instant, session_id
    return (instant, "") if order == "newest" else (instant + 1, "")


def _parse_instant(value: object) -> int:
    if value is None:
        return NO_INSTANT
    instant = parse_instant(value) if isinstance(value, str) else None
    if instant is None:
        raise _make_refusal("cursor has no usable sort_value")
    return instant


def _load(text: str) -> dict[str, Any]:
    padded = text.translate(str.maketrans("-_", "+/")) + "=" * (-len(text) % 4)
    try:
        place = json.loads(base64.b64decode(padded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise _make_refusal("cursor cannot be read") from error
    if not isinstance(place, dict) or "sort_value" not in place:
        raise _make_refusal("cursor cannot be read")
    return place


def _make_refusal(message: str) -> ApiError:
    return bad_request("invalid_cursor", message, "cursor")


def _digest(filters: str) -> str:
    return hashlib.sha256(filters.encode("utf-8", "surrogatepass")).hexdigest()[:12]
