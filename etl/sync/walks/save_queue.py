"""Pages on their way from the walks to the thread that saves them.

A walk that runs far ahead would be repeated after a crash, so it waits while too many of its pages
are not saved yet.
"""

import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from etl.planning.walks.walk import Walk

MOST_PAGES: Final = 32
"""Pages saved in one transaction, where they come faster than commits."""

FAST_PAGE: Final = 0.01
"""Seconds. Pages that come faster than this may wait in numbers to be saved together."""

AHEAD_SLOW, AHEAD_FAST = 2, 16
"""Pages of a walk that are not saved yet, the one under way among them: what a crash repeats."""

Item = TypeVar("Item")


@dataclass(slots=True)
class SaveQueue(Generic[Item]):
    """A queue with room for some pages of each walk."""

    closed: threading.Event = field(default_factory=threading.Event)
    """Set once walks must end: nobody waits for room any more."""
    _items: "queue.SimpleQueue[Item]" = field(default_factory=queue.SimpleQueue)
    _unsaved: dict[Walk, int] = field(default_factory=dict)
    """Pages of each walk that are queued and not saved."""
    _requested: dict[Walk, float] = field(default_factory=dict)
    """When each walk was last allowed to go on, on the monotonic clock."""
    _room: threading.Condition = field(default_factory=threading.Condition)
    """Guards the counts; notified as pages are saved."""

    def put(self, item: Item) -> None:
        """Queue something, whatever the room."""
        self._items.put(item)

    def get(self, timeout: float) -> list[Item]:
        """What has come: at most what one transaction saves, nothing after `timeout` seconds."""
        try:
            items = [self._items.get(timeout=timeout)]
        except queue.Empty:
            return []
        while len(items) < MOST_PAGES and not self._items.empty():
            items.append(self._items.get())
        return items

    def wait_for_room(self, walk: Walk) -> None:
        """Count a page of a walk as queued, and wait until its next one may be requested."""
        now = time.monotonic()
        is_fast = now - self._requested.get(walk, 0.0) < FAST_PAGE
        most = AHEAD_FAST if is_fast else AHEAD_SLOW
        with self._room:
            self._unsaved[walk] = self._unsaved.get(walk, 0) + 1
            self._room.wait_for(lambda: self._unsaved[walk] < most or self.closed.is_set())
        self._requested[walk] = time.monotonic()

    def note_saved(self, walks: Iterable[Walk]) -> None:
        """Make room: a page of each of these walks is saved."""
        with self._room:
            for walk in walks:
                self._unsaved[walk] = self._unsaved.get(walk, 0) - 1
            self._room.notify_all()

    def forget(self, walk: Walk) -> None:
        """A walk is over."""
        self._unsaved.pop(walk, None)
        self._requested.pop(walk, None)

    def close(self) -> None:
        """Let every walk end with the page that it is at."""
        self.closed.set()
        with self._room:
            self._room.notify_all()
