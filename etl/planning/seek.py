"""Entries built by us, for a first backfill: cursors in the documented form.

The server's cursors are base64 of JSON; a documented sample holds `sort_value` alone. A built one
is a guess: whatever it leads to, a walk proves only what its pages show.
"""

import base64
import json
from datetime import datetime
from typing import Final

from etl.models import Entry

__all__ = ["built_entries"]

PER_WALKER: Final = 8
"""Entries for each walk: instants say little about rows, and what is left is split again."""


def built_entries(oldest: datetime, newest: datetime, walkers: int) -> list[Entry]:
    """Newest-first entries, evenly spread over the time between two instants."""
    count = PER_WALKER * walkers
    step = (newest - oldest) / (count + 1)
    instants = [oldest + step * number for number in range(1, count + 1)]
    return [Entry("newest", _cursor(at), at) for at in instants if oldest < at < newest]


def _cursor(at: datetime) -> str:
    text = at.isoformat().replace("+00:00", "Z")
    return base64.b64encode(json.dumps({"sort_value": text}).encode()).decode()
