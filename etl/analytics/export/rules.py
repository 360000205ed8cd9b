"""The rules of an export: names of folders, which rows are new, where the next one begins."""

import hashlib
import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

NO_PARTITION: Final = "__HIVE_DEFAULT_PARTITION__"
"""Hive's word for null."""

LONGEST_FOLDER_ID: Final = 200
"""Bytes of an encoded id in a folder's name; file systems take 255."""

LONG_ID_HEAD: Final = 10
"""Characters of an id that is too long; each takes 12 bytes at most."""

CHANGES: Final = {
    "creators": ("updated_at",),
    "sessions": ("updated_at",),
    "session_states": ("observed_at", "run_id"),
    "sync_runs": ("finished_at", "id"),
    "rejected_records": ("received_at", "resolved_at", "run_id"),
}
"""The columns that tell whether a row changed in or after a run: times, and numbers of runs.

Other tables and the views are exported whole: they are small, or hold rows that vanish, or change
without a trace in the row.
"""

RISKY_CELL: Final = (
    r"\A([\s\p{Z}\p{Cc}\p{Cf}]*[=+\-@"
    "\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
    "\N{FULLWIDTH COMMERCIAL AT}\N{SMALL EQUALS SIGN}\N{SMALL PLUS SIGN}\N{SMALL HYPHEN-MINUS}"
    "\N{SMALL COMMERCIAL AT}\N{MINUS SIGN}"
    r"]|[\t\r\n])"
)
"""The beginning of a cell that a spreadsheet would take for a formula, in RE2's words."""


def to_month(created_at: datetime | None) -> str:
    """The month that a session is filed under, in UTC."""
    return f"{created_at.year:04}-{created_at.month:02}" if created_at else NO_PARTITION


def name_folders(agent_id: str, month: str) -> tuple[str, str]:
    """The folders that sessions belong in: `agent=...` and `month=...`.

    Every id gives one folder of its own, whatever it holds and however long it is. The names are
    percent-encoded, as readers of Hive's layout expect.
    """
    return f"agent={_name_folder(agent_id)}", f"month={month}"


def _name_folder(id: str) -> str:
    encoded = _encode(id)
    if len(encoded) <= LONGEST_FOLDER_ID:
        return encoded
    # The tilde is encoded elsewhere: no short id looks like this.
    return f"{_encode(id[:LONG_ID_HEAD])}~{hashlib.sha256(id.encode()).hexdigest()}"


def _encode(id: str) -> str:
    return quote(id, safe="").replace("~", "%7E")


def choose_since(unfinished: int | None, newest: Sequence[int]) -> int | None:
    """The run that the next export should name so as to miss nothing; None: export all.

    `unfinished` is the lowest run that still says `running`: rows of it may follow. `newest` are
    the newest run ids, the highest first. A number missing there may belong to a run that was not
    committed yet, so the next export begins below it.
    """
    settled = newest[0] if newest else None
    for higher, lower in itertools.pairwise(newest):
        if higher - lower > 1:
            settled = lower
    known = [id for id in (unfinished, settled) if id is not None]
    return min(known, default=None)
