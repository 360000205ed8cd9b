"""The job that carries over to a lake: in a process of its own, so that no sync waits for it.

Comparing a million rows keeps a Python busy for seconds; threads of one process would share it.
"""

import multiprocessing
import os
import threading
import time
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any, Final

from etl.clock import utc_now
from etl.config import Lake
from etl.errors import ConfigError, EtlError
from etl.events import LakeFailed, LakeSeen, LakeUpdated, Observe
from etl.invocation import install_hint
from etl.service.schedule import RECENT_SHARE
from etl.store.lakes import LakeStatus, list_lakes
from etl.store.store import Store
from etl.urls import normalize_address

STOP_CHECK_PAUSE: Final = 0.2
"""Seconds between two looks at whether the process should end."""

NICENESS: Final = 5
"""Syncs come first where processors are short."""


def check_lake(lake: Lake) -> None:
    """Raise ConfigError if a lake is configured and what it needs isn't installed."""
    # Not imported here: a process of its own uses them, and this one stays small.
    if lake.target is not None and not (find_spec("deltalake") and find_spec("pyarrow")):
        what = "lake.target needs deltalake, which isn't installed"
        raise ConfigError(what, install_hint("lake"))


class LakeJob:
    """Carries over once it is due; a process that is asked to stop ends it at once.

    That is safe: a table is changed by one commit or not at all.
    """

    def __init__(self, store: Store, lake: Lake, stop: threading.Event, observe: Observe) -> None:
        assert lake.target is not None
        self._store = store
        self._target = normalize_address(lake.target)
        self._every: timedelta = lake.every
        self._stop = stop
        self._observe = observe

    def find_first_time(self, now: datetime) -> datetime:
        """When it is due first: an interval after the last success, of whichever process."""
        last = self._read_status().finished_at
        return now if last is None else max(now, last + self._every)

    def run(self) -> None:
        """Carry over, unless that was just done; whatever happens is an event."""
        began = time.monotonic()
        try:
            last = self._report_status().finished_at
            is_recent = last is not None and utc_now() - last < self._every * RECENT_SHARE
            if self._stop.is_set() or is_recent:
                return
            counts = self._carry_over()
            if counts is not None:
                self._observe(LakeUpdated(*counts, time.monotonic() - began))
            self._report_status()
        except Exception as error:
            self._observe(LakeFailed(error))

    def _read_status(self) -> LakeStatus:
        statuses = {lake.target: lake for lake in list_lakes(self._store)}
        return statuses.get(self._target, LakeStatus(self._target))

    def _report_status(self) -> LakeStatus:
        status = self._read_status()
        if status.as_of is not None:
            self._observe(LakeSeen(status.as_of))
        return status

    def _carry_over(self) -> tuple[int, int, int] | None:
        """The counts of rows; None if another process is at it, or we were asked to stop."""
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        arguments = (self._store.url, self._target, sender)
        process = context.Process(target=_send_outcome, args=arguments, name="lake", daemon=True)
        process.start()
        sender.close()
        try:
            while not receiver.poll(STOP_CHECK_PAUSE):
                if self._stop.is_set():
                    return None
            outcome: tuple[int, int, int] | EtlError | None = receiver.recv()
        except EOFError:
            raise EtlError("the process that carries over was killed", "is memory short?") from None
        finally:
            process.kill()
            process.join()
            receiver.close()
        if isinstance(outcome, EtlError):
            raise outcome
        return outcome


def _send_outcome(url: str, target: str, sender: Any) -> None:
    """In the child: carry over, and send the counts, None if another one is at it, or an error."""
    import signal

    # The terminal's Ctrl-C reaches the whole group; it is the parent that ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from etl.analytics.lake.lock import LakeBusy

    outcome: tuple[int, int, int] | EtlError | None
    try:
        outcome = _update_lake(url, target)
    except LakeBusy:
        outcome = None
    except EtlError as error:
        error.__cause__ = None
        outcome = error
    except Exception as error:
        outcome = EtlError(f"carrying over failed: {type(error).__name__}: {error}"[:300])
    sender.send(outcome)


def _update_lake(url: str, target: str) -> tuple[int, int, int]:
    from etl.analytics.lake.run import update_lake

    os.nice(NICENESS)
    with Store(url, utc_now) as store:
        tables = update_lake(store, target).tables
    return (
        sum(table.inserted for table in tables),
        sum(table.updated for table in tables),
        sum(table.deleted for table in tables),
    )
