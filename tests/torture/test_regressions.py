"""Every bug that the torture tests found, as a plain test."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event

from etl.errors import StoreError
from etl.models import BEGINNING, Entry, Listed
from etl.planning.coverage import Gap
from etl.planning.run_demand import RunOptions
from etl.planning.walks.walk import Walk
from etl.simulator import Fault
from etl.store.store import Store
from tests.support.waiting import PATIENCE, until
from tests.torture.databases import Databases
from tests.torture.rig import Rig
from tests.torture.truth import now

BACKFILL, RECONCILE, SYNC = RunOptions("backfill"), RunOptions("reconcile"), RunOptions()
ONE = RunOptions("reconcile", walkers=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def rig(databases: Databases) -> Iterator[Rig]:
    """An API with one agent of 30 sessions and an empty database."""
    made = Rig(databases.make(), (30, 3))
    yield made
    made.close()


@pytest.fixture
def empty(databases: Databases) -> Iterator[Rig]:
    """The same, without a session."""
    made = Rig(databases.make(), (0, 0))
    yield made
    made.close()


def row(rig: Rig, id: str) -> dict[str, object]:
    return next(one for one in rig.snapshot()["sessions"] if one["id"] == id)


def test_a_walk_that_enters_amid_ties_suspects_none_of_them() -> None:
    """A first page that holds one instant alone, entered at a cursor: it isn't walked whole."""
    top = now() - HOUR
    walk = Walk(Entry("newest", "c0", top), Gap(BEGINNING, now()))
    below = top - HOUR

    walk.advance([Listed("t3", top), Listed("t4", top)], "c1", now())
    step = walk.advance([Listed("t5", top), Listed("u1", below)], "c2", now())

    # t1 and t2 share the instant and lie before the cursor: nothing may be said of it.
    assert step.absence is None or step.absence.newest <= top


@pytest.mark.parametrize("walkers", [2, 3, 4])
def test_ties_longer_than_pages_are_not_suspected(empty: Rig, walkers: int) -> None:
    agent = empty.agents[0]
    for number in range(75):
        empty.truth.add(agent, now().replace(microsecond=0) - HOUR * (number // 25 + 1))
    empty.run(agent, BACKFILL, page_size=3)

    for _ in range(3):
        report = empty.run(agent, RunOptions("reconcile", walkers=walkers), page_size=3)

        assert report is not None
        assert (report.status, report.counts.missing) == ("succeeded", 0), report.error


def test_a_partial_mention_does_not_hide_a_full_one(empty: Rig) -> None:
    agent = empty.agents[0]
    whole = {"id": "user_1", "first_name": "Ada", "last_name": "L", "email": "ada@example.com"}
    empty.truth.add(agent, now() - 2 * HOUR, creator=whole)
    empty.truth.add(agent, now() - HOUR, creator={"id": "user_1"})

    empty.run(agent, RunOptions("backfill", walkers=1))

    assert empty.snapshot()["creators"][0]["email"] == "ada@example.com"


@pytest.mark.parametrize("record", [{"name": "no id, no date"}, 17, None])
def test_an_oldest_record_without_id_and_date_is_an_end(rig: Rig, record: object) -> None:
    agent = rig.agents[0]
    rig.world.add_raw(agent, record, now() - timedelta(days=400))
    for options in (BACKFILL, ONE):
        report = rig.run(agent, options, audit=False)

        assert report is not None
        assert report.status == "succeeded", report.error
        assert report.watermark is not None


def test_suspects_of_an_interrupted_run_are_not_marked_by_a_later_one(rig: Rig) -> None:
    """Gone at the reconcile that broke off, back before the sync that settles."""
    agent = rig.agents[0]
    rig.run(agent, BACKFILL, audit=False)
    id = rig.truth.ids(agent)[12]
    rig.truth.remove(id)
    rig.api.add_fault(Fault("status", status=500, after=5, times=None))
    broken = rig.run(agent, ONE, audit=False)
    assert broken is not None
    assert broken.status == "failed"
    rig.api.clear_faults()
    rig.truth.restore(id)

    rig.run(agent, RunOptions(lookback=timedelta(0)), audit=False)

    assert row(rig, id)["missing_since"] is None


def test_a_bad_record_of_an_open_session_does_not_fail_every_sync(rig: Rig) -> None:
    agent = rig.agents[0]
    id = rig.truth.add(agent, now() - 100 * HOUR, state="idle")
    rig.run(agent, BACKFILL)
    rig.truth.spoil(id, {"name": ["no", "text"], "usage": {"credit_cost": "much"}})

    report = rig.run(agent, SYNC, audit=False)

    assert report is not None
    assert report.status == "succeeded", report.error
    assert report.counts.partial == 1


def test_a_first_retrieve_of_an_unchanged_session_changes_no_row(rig: Rig) -> None:
    """What only a retrieve shows must not look like a change of the session."""
    agent = rig.agents[0]
    id = rig.truth.add(agent, now() - 100 * HOUR, state="idle")
    rig.run(agent, BACKFILL)
    before = row(rig, id)

    report = rig.run(agent, SYNC)

    assert report is not None
    assert report.counts.updated == 0
    assert row(rig, id) == before


def test_an_empty_page_with_a_cursor_is_asked_for_again(rig: Rig) -> None:
    agent = rig.agents[0]
    rig.api.add_fault(Fault("empty_page", keep_cursor=True, after=2))

    report = rig.run(agent, RunOptions("backfill", walkers=1), audit=False)

    assert report is not None
    assert len(rig.snapshot()["sessions"]) == 30


def test_a_save_that_failed_is_not_claimed_by_the_next(rig: Rig) -> None:
    """One save fails, pages that wait are saved after it: theirs alone may be claimed."""
    agent = rig.agents[0]
    failed: list[int] = []
    original = Store.save

    def save(self: Store, run: object, batch: object) -> object:
        threading.Event().wait(0.05)
        if not failed and getattr(batch, "answers", None):
            failed.append(1)
            raise StoreError("the disk is full for a moment")
        return original(self, run, batch)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save", save)
        rig.run(agent, RunOptions("backfill", walkers=1), page_size=3, disturbed=True)
    rig.run(agent, SYNC)

    assert len(rig.snapshot()["sessions"]) == 30


def test_a_bookmark_replaces_one_of_the_same_instant(empty: Rig) -> None:
    """More pages of one instant than lie between two bookmarks."""
    agent = empty.agents[0]
    at = now() - HOUR
    for _ in range(75):
        empty.truth.add(agent, at)

    report = empty.run(agent, RunOptions("backfill", walkers=2), page_size=3, audit=False)

    assert report is not None
    assert report.status == "succeeded", report.error


@pytest.mark.parametrize("lasting", [True, False])
def test_a_save_that_fails_with_the_end_of_a_walk_does_not_hang(rig: Rig, lasting: bool) -> None:
    """The batch that is lost held a page and the end of its walk."""
    agent = rig.agents[0]
    original, failed = Store.save, threading.Event()
    slow = threading.Event()

    def save(self: Store, run: object, batch: object) -> object:
        # Let the walk end while its last pages wait, then fail with all of them at hand.
        slow.wait(0.3)
        return original(self, run, batch)  # type: ignore[arg-type]

    def fail(*arguments: object) -> None:
        statement = str(arguments[2])
        ready = failed.is_set() or "INSERT INTO coverage" in statement
        if ready and (lasting or not failed.is_set()) and "sync_runs" not in statement:
            failed.set()
            raise OSError(28, "No space left on device")

    done: list[object] = []

    def run() -> None:
        done.append(rig.run(agent, RunOptions("backfill", walkers=1), page_size=50, audit=False))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "save", save)
        event.listen(rig.store.engine, "before_cursor_execute", fail)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        event.remove(rig.store.engine, "before_cursor_execute", fail)
    assert failed.is_set()
    assert done, "the run hangs"


@pytest.mark.parametrize(
    "options", [RunOptions(lookback=timedelta(0)), RunOptions("backfill", lookback=timedelta(0))]
)
def test_a_run_in_the_second_of_the_last_one_looks_at_the_head(
    empty: Rig, options: RunOptions
) -> None:
    """Dates are whole seconds: new sessions share theirs with what is proven already."""
    agent = empty.agents[0]
    until(lambda: now().microsecond < 100_000, "a second's beginning")
    for _ in range(2):
        empty.truth.mutate(agent, "add_now", 4)
        empty.run(agent, options)

    assert len(empty.snapshot()["sessions"]) == 2
