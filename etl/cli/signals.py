"""SIGINT and SIGTERM: the first asks a command to stop, a second one ends it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from etl.cli.common import print_stderr

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
REPEAT_WINDOW: Final = 0.3
"""Seconds within which a second signal counts as a repeat: `timeout` sends two at once."""


@contextmanager
def stop_on_signals(
    on_first_signal: Callable[[], None] = lambda: print_stderr("stopping"),
) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a later signal ends the process at once.

    A thread of its own reads them. Python runs handlers in the main thread: they would never run
    while it waits for a lock and the kernel hands the signal to another thread, and they must not
    set an event whose lock that thread may hold.
    """
    stop = threading.Event()
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    fd_before = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(read_fd, stop, on_first_signal), daemon=True)
    listener.start()
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(write_fd)
        listener.join(1)  # it may be blocked writing to a pipe that nobody reads
        if not listener.is_alive():
            os.close(read_fd)


def _listen(read_fd: int, stop: threading.Event, on_first: Callable[[], None]) -> None:
    """Until the pipe is closed: the first signal asks for a stop, a later one ends the process."""
    asked_at: float | None = None
    while heard := os.read(read_fd, 1):
        if heard[0] not in SIGNALS:
            continue
        if asked_at is None:
            asked_at = time.monotonic()
            stop.set()
            on_first()
        elif time.monotonic() - asked_at > REPEAT_WINDOW:
            os._exit(130)


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt, so that `finally` blocks run."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
