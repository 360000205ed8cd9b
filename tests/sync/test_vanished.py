"""Sessions that vanish: marked by a full walk that succeeds, never claimed as listed later."""

import json
import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import event, update

from etl.clock import utc_now
from etl.planning.run_demand import RunOptions
from etl.simulator.times import format_instant
from etl.simulator.world.account import encode
from etl.store.runs import runs
from etl.store.schema import tables as t
from etl.store.schema.engine import open_temporary_engine
from etl.sync import suspects
from tests.sync.lab import AGENT, BACKFILL, RECONCILE, RESTART, SYNC, Lab, second
from tests.torture.rig import Killer


def vanish(lab: Lab, ids: Iterable[str]) -> datetime:
    """Take sessions out of the list; when that was."""
    for id in ids:
        lab.world.remove(id)
    return utc_now()


def falsely_listed(lab: Lab, ids: Iterable[str], gone_at: datetime) -> list[str]:
    """Those neither marked nor kept as suspects, and claimed as listed after they had gone."""
    missing, listed = lab.missing() | lab.suspects(), lab.listed_at()
    late = {id for id, at in listed.items() if at is not None and at > gone_at}
    return sorted(id for id in ids if id in late and id not in missing)


# -- 6: instants of a page or more --------------------------------------------------------------


@pytest.mark.parametrize("walkers", [None, 1, 2, 3, 5])
@pytest.mark.parametrize("bulk", [40, 300])
@pytest.mark.parametrize("page_size", [10, 20])
def test_sessions_that_vanish_from_bulk_imports_are_marked(
    lab: Lab, walkers: int | None, bulk: int, page_size: int
) -> None:
    """Pages are one instant whole, and bookmarks lead amid them."""
    lab.page_size = page_size
    ids = lab.spread(60, ago=3 * 86_400)
    ids += lab.add([second(2 * 86_400)] * bulk, "one")
    ids += lab.add([second(86_400)] * bulk, "two") + lab.spread(60)
    lab.run(replace(BACKFILL, walkers=walkers))
    lab.run(replace(RECONCILE, walkers=walkers))
    gone = ids[5:120:17] + ids[130::67]
    gone_at = vanish(lab, gone)

    report = lab.run(replace(RECONCILE, walkers=walkers))

    assert (report.status, report.error) == ("succeeded", None)
    assert falsely_listed(lab, gone, gone_at) == []
    assert lab.missing() == set(gone)
    assert report.counts.missing == len(gone)


@pytest.mark.parametrize("seed", range(15))
def test_no_shape_of_a_history_hides_what_vanished(lab: Lab, seed: int) -> None:
    rng = random.Random(seed)
    lab.page_size, ids, ago = rng.choice((3, 7, 10)), [], 7200
    for _ in range(rng.randint(2, 12)):
        ago += rng.randint(1, 100)
        ids += lab.add([second(ago)] * rng.choice((1, 2, 9, 10, 11, 40, 100)), f"t{ago}-")
        ids += lab.spread(rng.choice((0, 5, 30)), every=rng.choice((0, 1, 2)), ago=ago + 1)
        ago += 60
    lab.run(BACKFILL)
    left = list(ids)
    for number in range(4):
        options = replace(RECONCILE, walkers=rng.choice((None, 1, 2, 4)), seek=rng.random() < 0.5)
        gone = rng.sample(left, min(5, len(left)))
        left = [id for id in left if id not in gone]
        gone_at = vanish(lab, gone)

        report = lab.run(options)

        told = (seed, number, options, report.error)
        assert (report.status, falsely_listed(lab, gone, gone_at)) == ("succeeded", []), told
        assert (lab.missing(), lab.wrong()) == (set(ids) - set(left), []), told


# -- 7: suspects of killed runs -------------------------------------------------------------------


@pytest.mark.parametrize("full", [RESTART, RECONCILE], ids=lambda one: one.mode)
@pytest.mark.parametrize("walkers", [None, 1, 3])
@pytest.mark.parametrize("at", [3, 5, 8, 11])
def test_a_killed_full_walk_leaves_no_claim_of_vanished_sessions(
    lab: Lab, full: RunOptions, walkers: int | None, at: int
) -> None:
    full = replace(full, walkers=walkers)
    ids = lab.spread(120)
    lab.run(BACKFILL)
    gone = ids[2:100:10]
    gone_at = vanish(lab, gone)
    lab.run(full, kill=Killer(at_request=at))
    for _ in range(2):
        assert falsely_listed(lab, gone, gone_at) == []
        assert lab.run(replace(SYNC, walkers=walkers)).status == "succeeded"
    assert falsely_listed(lab, gone, gone_at) == []

    report = lab.run(RECONCILE)

    assert (report.status, lab.missing()) == ("succeeded", set(gone))
    assert lab.wrong() == []


@pytest.mark.parametrize("full", [RESTART, RECONCILE], ids=lambda one: one.mode)
@pytest.mark.parametrize("at", range(25, 145, 15))
def test_a_kill_at_any_statement_leaves_no_claim_of_vanished_sessions(
    lab: Lab, full: RunOptions, at: int
) -> None:
    ids = lab.spread(120)
    lab.run(BACKFILL)
    gone = ids[2:100:10]
    gone_at = vanish(lab, gone)
    lab.run(full, kill=Killer(at_statement=at))
    for options in (SYNC, BACKFILL, SYNC):
        assert falsely_listed(lab, gone, gone_at) == []
        assert lab.run(options).status == "succeeded"
    assert falsely_listed(lab, gone, gone_at) == []


# -- 8: a session that moves to another agent ----------------------------------------------------


def move(lab: Lab, id: str, to: str) -> None:
    """Let another agent have the session."""
    world = lab.world
    with world.lock:
        row = world._rows[id]
        world._agents[row.agent_id].rows.drop(row)
        row.agent_id = to
        world._agents[to].rows.add(row)
        world.change(id, agent_id=to)


@pytest.fixture
def two(lab: Lab) -> Lab:
    """A second agent, and a history of each that is stored."""
    lab.world.add_agent("other", agent_id="other")
    lab.spread(80)
    lab.spread(30, agent_id="other", prefix="o")
    for agent in (AGENT, "other"):
        lab.run(BACKFILL, agent=agent)
    return lab


@pytest.mark.parametrize("options", [RECONCILE, SYNC, RESTART], ids=lambda one: one.mode)
@pytest.mark.parametrize("walkers", [None, 1])
def test_a_moved_session_that_a_killed_reconcile_suspects_is_not_marked(
    two: Lab, options: RunOptions, walkers: int | None
) -> None:
    ids = list(two.rows())[30:33]
    for id in ids:
        move(two, id, "other")
    two.run(replace(RECONCILE, walkers=walkers), kill=Killer(at_request=8))
    two.run(RECONCILE, agent="other")

    two.run(options)

    assert two.wrong("other") == []
    assert not any(row.missing_since for row in two.rows("other").values())
    assert two.wrong() == []


@pytest.mark.parametrize("walkers", [None, 1])
def test_a_session_that_moves_while_it_is_suspected_is_not_marked(
    two: Lab, walkers: int | None
) -> None:
    """The other agent's reconcile comes between the suspicion and its settlement."""
    ids = list(two.rows())[30:33]
    for id in ids:
        move(two, id, "other")
    other = Lab(two.url, two.world)
    mark = runs.mark_missing
    done: list[int] = []

    def late(*args: Any) -> Any:
        if not done:
            done.append(1)
            assert other.run(RECONCILE, agent="other").status == "succeeded"
        return mark(*args)

    with patch.object(suspects, "mark_missing", late):
        report = two.run(replace(RECONCILE, walkers=walkers))
    other.close()

    assert (report.status, report.counts.missing) == ("succeeded", 0)
    assert not any(row.missing_since for row in two.rows("other").values())
    assert two.wrong("other") == []


@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_a_session_that_moves_while_suspects_are_marked_is_not(two: Lab) -> None:
    """SQLite has one writer; here another one commits amid the transaction."""
    gone, moved = list(two.rows())[30:32]
    vanish(two, [gone, moved])

    def interfere(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "FROM suspects JOIN sessions" in statement:
            change = update(t.sessions).where(t.sessions.c.id == moved).values(agent_id="other")
            with open_temporary_engine(two.url) as engine, engine.begin() as connection:
                connection.execute(change)

    event.listen(two.store.engine, "after_cursor_execute", interfere)
    report = two.run(RECONCILE)
    event.remove(two.store.engine, "after_cursor_execute", interfere)

    assert (report.status, report.counts.missing) == ("succeeded", 1)
    assert two.missing() == {gone}
    assert two.rows("other")[moved].missing_since is None


def test_a_moved_session_that_vanishes_is_marked_by_its_new_agent(two: Lab) -> None:
    id = list(two.rows())[30]
    move(two, id, "other")
    for agent in (AGENT, "other"):
        two.run(RECONCILE, agent=agent)
    gone_at = vanish(two, [id])

    report = two.run(RECONCILE, agent="other")

    assert (report.status, report.counts.missing) == ("succeeded", 1)
    assert two.rows("other")[id].missing_since >= gone_at - timedelta(seconds=60)


# -- a list in the order of arrival, dates up to some seconds off ---------------------------------


def disorder(lab: Lab, seed: int) -> None:
    """Leave each session where it is in the list, and date it up to five seconds off."""
    rng = random.Random(seed)
    for row in lab.world._rows.values():
        instant = row.key[0] // 1_000_000 * 1_000_000
        record = json.loads(lab.world._encode_row(row))
        created_at = format_instant(instant + rng.randint(-5, 5) * 1_000_000)
        row.body = encode({**record, "created_at": created_at})


@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_missing_because_the_list_is_out_of_order(lab: Lab, seed: int) -> None:
    """Before a walk notices, it has passed pages in order, which prove less than that."""
    rng = random.Random(seed)
    lab.page_size = 3
    lab.add([second(86_400 - 600 * n) for n in range(30)])
    lab.add(sorted(second(7200) + timedelta(seconds=rng.random() * 12) for _ in range(25)))
    disorder(lab, seed)
    lab.run(BACKFILL)
    for walkers in (2, 5, None):
        lab.run(replace(RECONCILE, walkers=walkers))

        assert lab.missing() == set()


@pytest.mark.parametrize("walkers", [None, 1, 3])
def test_who_vanishes_from_a_list_out_of_order_is_not_claimed_as_listed(
    lab: Lab, walkers: int | None
) -> None:
    ids = lab.spread(60, every=1)
    disorder(lab, 3)
    lab.run(BACKFILL)
    gone = ids[5:50:9]
    gone_at = vanish(lab, gone)

    report = lab.run(replace(RECONCILE, walkers=walkers))

    assert report.status == "succeeded"
    assert falsely_listed(lab, gone, gone_at) == []
    assert lab.missing() == set(gone)


@pytest.mark.parametrize("count", [10, 11])
def test_who_is_retrieved_as_another_agents_is_not_missing(lab: Lab, count: int) -> None:
    """A page of one record that names another agent tells of nobody: it may be sent by mistake."""
    [*_, oldest] = lab.spread(count)
    assert lab.run(BACKFILL).status == "succeeded"
    lab.world.change(oldest, agent_id="another")

    lab.run(RECONCILE)

    assert lab.rows()[oldest].missing_since is None
