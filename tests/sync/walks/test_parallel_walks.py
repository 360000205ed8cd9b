"""Walks side by side, where something fails that no server and no database is to blame for."""

import threading
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select

from etl.errors import StoreError
from etl.simulator import Fault, Traits
from etl.store.schema import tables as t
from etl.sync import agent_run
from etl.sync.walks.page_batch import PageBatcher
from tests.sync.lab import BACKFILL, Lab


@pytest.mark.parametrize("at", [1, 2, 3])
def test_pages_behind_one_that_was_lost_are_not_claimed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """What a walk has proven includes its pages before: one that isn't saved holds up the rest."""
    lab.spread(120)
    lab.api.latency = 0.05
    make, calls = PageBatcher.make, count(1)

    def fail_once(self: PageBatcher, arrivals: Any) -> Any:
        if next(calls) == at:
            raise MemoryError
        return make(self, arrivals)

    monkeypatch.setattr(PageBatcher, "make", fail_once)

    with pytest.raises(MemoryError):
        lab.run(BACKFILL)

    assert (lab.run(BACKFILL).status, lab.wrong()) == ("succeeded", [])


@pytest.mark.parametrize("at", [0, 1])
def test_a_thread_that_does_not_start_ends_the_run(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    lab.spread(120)
    lab.api.latency = 0.05
    start, walks = threading.Thread.start, count()

    def refuse(thread: Any) -> None:
        if getattr(thread._target, "__name__", "") == "_walk" and next(walks) == at:
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            lab.run(BACKFILL)

    assert (lab.run(BACKFILL).status, lab.wrong()) == ("succeeded", [])


def test_of_several_failures_the_first_one_is_told(lab: Lab) -> None:
    lab.spread(30)
    lab.api.add_fault(Fault("status", path="sort_order=newest", status=403, times=None))
    lab.api.add_fault(Fault("latency", path="sort_order=oldest", seconds=0.5, times=None))
    lab.api.add_fault(Fault("status", path="sort_order=oldest", status=503, times=None))

    report = lab.run(BACKFILL, max_attempts=1)

    assert report.status == "failed"
    assert report.error is not None
    assert "403" in report.error


def test_a_run_whose_walks_cannot_be_prepared_is_closed(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(agent_run, "make_tracker", fail)

    report = lab.run(BACKFILL)

    assert (report.status, report.error) == ("failed", "the database is away")
    with lab.store.connect() as connection:
        assert connection.execute(select(t.sync_runs.c.status)).scalars().all() == ["failed"]


def test_a_refusal_that_cannot_be_remembered_hides_no_error(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the database is away")

    monkeypatch.setattr(agent_run, "save_seek_refused", fail)
    lab.api.adopt(Traits(foreign_cursor="refuse"))
    lab.spread(120)
    lab.api.latency = 0.05

    assert (lab.run(BACKFILL).status, lab.wrong()) == ("succeeded", [])
