"""The shapes of a list response and of a session in it, as the API documents them.

Field facts: the API's OpenAPI text and the SDK's models (docs/gumloop-api.md).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from etl.models import ABSENT, Absent

UNDECODABLE: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What decoding raises for a value that is not of its type, or no JSON."""

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
    """The list's response where every record is as foreseen."""

    sessions: list[StrictSession]
    next_cursor: str | None = None


class LoosePage(msgspec.Struct, gc=False):
    """The list's response with its records left undecoded."""

    sessions: list[Raw]
    next_cursor: str | None = None


class WireResponse(msgspec.Struct, gc=False):
    """The response of a retrieve."""

    session: Raw


USAGE_FIELDS: Final = WireUsage.__struct_fields__
CREATOR_FIELDS: Final = WireCreator.__struct_fields__
KNOWN_KEYS: Final = frozenset(WireSession.__struct_fields__)
