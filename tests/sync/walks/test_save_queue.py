"""Pages on their way to the thread that saves them: a walk waits while too many are not saved."""

import threading
from collections.abc import Callable

import pytest

from etl.models import BEGINNING
from etl.planning.coverage import Gap
from etl.planning.walks.entries import HEAD
from etl.planning.walks.walk import Walk
from etl.sync.walks import save_queue
from etl.sync.walks.save_queue import AHEAD_FAST, AHEAD_SLOW, MOST_PAGES, SaveQueue
from tests.support.waiting import PATIENCE


def a_walk() -> Walk:
    return Walk(HEAD, Gap(BEGINNING, HEAD.at))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the seconds that pass between two looks at the monotonic clock."""
    now, pace = [100.0], [1.0]

    def monotonic() -> float:
        now[0] += pace[0]
        return now[0]

    class Time:
        pass

    Time.monotonic = staticmethod(monotonic)  # type: ignore[attr-defined]
    monkeypatch.setattr(save_queue, "time", Time)
    return lambda seconds: pace.__setitem__(0, seconds)


class Waiter:
    """Another thread that waits for room."""

    def __init__(self, queue: SaveQueue[object], walk: Walk) -> None:
        self.done = threading.Event()
        self._queue, self._walk = queue, walk
        self.thread = threading.Thread(target=self._wait, daemon=True)
        self.thread.start()

    def _wait(self) -> None:
        self._queue.wait_for_room(self._walk)
        self.done.set()

    def is_waiting(self, queue: SaveQueue[object]) -> bool:
        """Whether it has come to wait, which it does holding the page that it counted."""
        while not self.done.is_set():
            with queue._room:
                if queue._room._waiters:  # type: ignore[attr-defined]
                    return True
        return False


def test_items_come_in_their_order() -> None:
    queue: SaveQueue[int] = SaveQueue()
    for number in range(5):
        queue.put(number)

    assert queue.get(0.0) == [0, 1, 2, 3, 4]


def test_one_transaction_takes_no_more_than_it_saves() -> None:
    queue: SaveQueue[int] = SaveQueue()
    for number in range(MOST_PAGES + 3):
        queue.put(number)

    assert len(queue.get(0.0)) == MOST_PAGES
    assert queue.get(0.0) == [MOST_PAGES, MOST_PAGES + 1, MOST_PAGES + 2]


def assert_waits_for_a_save(queue: SaveQueue[object], walk: Walk) -> None:
    waiter = Waiter(queue, walk)
    assert waiter.is_waiting(queue)
    queue.note_saved([walk])

    assert waiter.done.wait(PATIENCE)


def test_nothing_comes_after_the_time_is_over() -> None:
    assert SaveQueue[int]().get(0.001) == []


def test_a_slow_walk_waits_until_its_page_before_is_saved(clock: Callable[[float], None]) -> None:
    queue: SaveQueue[object] = SaveQueue()
    walk = a_walk()
    for _ in range(AHEAD_SLOW - 1):
        queue.wait_for_room(walk)

    assert_waits_for_a_save(queue, walk)


def test_a_fast_walk_may_run_further_ahead(clock: Callable[[float], None]) -> None:
    queue: SaveQueue[object] = SaveQueue()
    walk = a_walk()
    queue.wait_for_room(walk)
    clock(0.0)
    for _ in range(AHEAD_FAST - 2):
        queue.wait_for_room(walk)

    assert_waits_for_a_save(queue, walk)


def test_a_walk_does_not_wait_for_the_pages_of_another(clock: Callable[[float], None]) -> None:
    queue: SaveQueue[object] = SaveQueue()
    first, second = a_walk(), a_walk()
    for _ in range(AHEAD_SLOW - 1):
        queue.wait_for_room(first)
        queue.wait_for_room(second)

    waiter = Waiter(queue, first)
    queue.note_saved([second])
    assert waiter.is_waiting(queue), "the room is another's"
    queue.note_saved([first])

    assert waiter.done.wait(PATIENCE)


def test_nobody_waits_once_it_is_closed(clock: Callable[[float], None]) -> None:
    queue: SaveQueue[object] = SaveQueue()
    walk = a_walk()
    for _ in range(AHEAD_SLOW - 1):
        queue.wait_for_room(walk)
    waiter = Waiter(queue, walk)
    assert waiter.is_waiting(queue)

    queue.close()

    assert waiter.done.wait(PATIENCE)
    queue.wait_for_room(walk)
    assert queue.closed.is_set()


def test_a_walk_that_is_over_is_forgotten(clock: Callable[[float], None]) -> None:
    queue: SaveQueue[object] = SaveQueue()
    walk = a_walk()
    for _ in range(AHEAD_SLOW - 1):
        queue.wait_for_room(walk)

    queue.forget(walk)
    queue.forget(walk)

    for _ in range(AHEAD_SLOW - 1):
        queue.wait_for_room(walk)
