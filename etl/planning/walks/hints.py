"""Cursors that may let a walk enter amid the list: kept ones, and ones that we build. Pure.

How long the server honours a cursor is not documented. So every one is a hint: it may be refused
or lead elsewhere, which costs a request and takes the cursors of its age out of use. The ends of
the list, which need no cursor, always work.
"""

import base64
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from etl.models import BEGINNING, Entry
from etl.planning.coverage import Coverage


@dataclass(slots=True)
class Hints:
    """The entries of a run that need a cursor."""

    bookmarks: list[Entry] = field(default_factory=list)
    """Cursors that the server issued on earlier pages, of this run too."""
    may_build: bool = True
    """Whether cursors of our own making may be tried."""
    may_try_stored: bool = True
    """Whether a cursor of an earlier run may be tried where it only saves time."""
    built_works: bool | None = None
    """Whether the server follows built cursors; None until the first one, tried alone, shows it."""
    may_be_outage: bool = False
    """Whether what refused the built ones may have been an outage."""
    started_at: datetime = BEGINNING
    """When the run began: cursors issued earlier may have died since."""
    stored_works: bool = False
    """Whether one of those has led where it should, and none was refused after it."""
    expired_before: datetime | None = None
    """Cursors issued then or before, or at an unknown time, are not used any more."""
    _refused: set[Entry] = field(default_factory=set)
    """Entries that were of no use in this run."""

    def list_entries(self, coverage: Coverage, in_use: Collection[Entry] = ()) -> list[Entry]:
        """The cursors that the server issued and that may still lead somewhere.

        Until one of an earlier run has worked in this one, a single one is tried at a time.
        """
        edges = [entry for span in coverage for entry in (span.below, span.above) if entry]
        used = self._refused.union(in_use)
        known = dict.fromkeys((*edges, *self.bookmarks))
        alive = [e for e in known if e.cursor is not None and e not in used and self.is_alive(e)]
        on_trial = any(map(self.needs_probe, in_use))
        return [entry for entry in alive if not (on_trial and self.needs_probe(entry))]

    def needs_probe(self, entry: Entry) -> bool:
        """Whether nothing in this run shows that such a cursor is still honoured."""
        return not self.stored_works and self._is_stored(entry)

    def add_bookmark(self, mark: Entry) -> None:
        """Remember a bookmark, in place of one amid the rows of the same instant."""
        kept = [one for one in self.bookmarks if (one.order, one.at) != (mark.order, mark.at)]
        self.bookmarks = [*kept, mark]

    def is_alive(self, entry: Entry) -> bool:
        """Whether no cursor that was issued as late has been refused."""
        return self.expired_before is None or (entry.issued_at or BEGINNING) > self.expired_before

    def build(self, at: datetime, in_use: Iterable[Entry] = ()) -> Entry | None:
        """An entry of our own making, behind which rows are older than an instant.

        None where none may be built: the first of a run goes alone.
        """
        if not self.may_build or self.built_works is False:
            return None
        entry = build_entry(at)
        used = self._refused.union(in_use)
        first = self.built_works is None and any(map(is_built, used))
        return None if first or entry in used else entry

    def confirm(self, entry: Entry) -> None:
        """The first page behind an entry has shown that it leads where it should."""
        if is_built(entry):
            self.built_works = True
        self.stored_works = self.stored_works or self._is_stored(entry)

    def refuse(self, entry: Entry) -> None:
        """Use an entry no more; others like it may still serve."""
        self._refused.add(entry)

    def refuse_all_like(self, entry: Entry, *, may_be_outage: bool = False) -> None:
        """A cursor was refused, or has led elsewhere: those that are as old, or built, will too."""
        self._refused.add(entry)
        if is_built(entry):
            self.built_works, self.may_be_outage = False, may_be_outage
        else:
            self.stored_works = False
            self.expire_before(entry.issued_at)

    def expire_before(self, issued_at: datetime | None) -> None:
        """Use no cursor any more that was issued then or before, or nobody knows when."""
        self.expired_before = max(issued_at or BEGINNING, self.expired_before or BEGINNING)

    def _is_stored(self, entry: Entry) -> bool:
        """Whether the server issued an entry's cursor before this run."""
        issued_at = entry.issued_at or BEGINNING
        return entry.cursor is not None and issued_at < self.started_at and not is_built(entry)


def is_built(entry: Entry) -> bool:
    """Whether an entry is of our own making."""
    return entry.cursor is not None and entry == build_entry(entry.at)


def build_entry(at: datetime) -> Entry:
    """An entry newest first, its cursor in the documented form: a sample has this key alone."""
    text = at.isoformat().replace("+00:00", "Z")
    cursor = base64.b64encode(json.dumps({"sort_value": text}).encode()).decode()
    return Entry("newest", cursor, at)
