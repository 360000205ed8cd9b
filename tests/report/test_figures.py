"""What the database counts is what Python counts, on both databases."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from etl.analytics.figures import shape
from etl.analytics.figures.period import Period, floor_to, list_offsets, to_wall
from etl.analytics.report import figure_queries
from etl.analytics.report.figure_queries import Window
from etl.analytics.report.health_queries import load_health
from etl.analytics.report.load_figures import load_figures
from etl.analytics.report.view import make_view
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.report.filling import DAY, HOUR, NOW, fill, options, prove, session

STATES = ("completed", "failed", "idle", "processing", None)
OCTOBER = Period(datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 10, 30, tzinfo=UTC))
ALL = Period(datetime(2000, 1, 1, tzinfo=UTC), NOW + DAY)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "Asia/Kathmandu", "America/St_Johns"])
def test_cells_are_those_of_the_zones_clock(store: Store, zone: str) -> None:
    draw = random.Random(7)
    start = OCTOBER.since - DAY  # clocks were set back within the range, in Vienna
    rows = [
        session(
            f"s{number}",
            draw.choice("ab"),
            state=draw.choice(STATES),
            created_at=start + timedelta(seconds=draw.randrange(12 * 86_400), microseconds=999_999),
            credit_cost=draw.choice([None, 0.25, 3]),
            output_tokens=draw.choice([None, 7]),
        )
        for number in range(600)
    ]
    fill(store, [*rows, session("gone", created_at=OCTOBER.since, missing_since=NOW)])
    clock, here = list_offsets(OCTOBER, ZoneInfo(zone)), ZoneInfo(zone)

    with store.connect() as connection:
        found = list(figure_queries.count_cells(connection, Window(("a",), OCTOBER), clock))

    mine = [
        r for r in rows if r["agent_id"] == "a" and OCTOBER.since <= r["created_at"] < OCTOBER.until
    ]
    counted = Counter((floor_to(to_wall(r["created_at"], here), "hour"), r["state"]) for r in mine)
    assert {(cell.slot, cell.state): cell.sessions for cell in found} == dict(counted)
    assert sum(cell.credits for cell in found) == sum(r["credit_cost"] or 0 for r in mine)
    tokens = sum(r["input_tokens"] + (r["output_tokens"] or 0) for r in mine)
    assert sum(cell.tokens for cell in found) == tokens


def test_the_views_count_the_same(store: Store) -> None:
    draw = random.Random(9)
    rows = [
        session(
            f"s{n}",
            draw.choice("ab"),
            state=draw.choice(STATES),
            created_at=OCTOBER.since + timedelta(minutes=draw.randrange(10 * 1440)),
        )
        for n in range(400)
    ]
    fill(store, rows)
    query = "SELECT agent_id, sum(sessions), sum(failed), sum(credit_cost) FROM {} GROUP BY 1"

    with store.connect() as connection:
        window = Window(("a", "b"), OCTOBER)
        clock = list_offsets(OCTOBER, ZoneInfo("UTC"))
        cells = figure_queries.count_cells(connection, window, clock)
        mine = shape.tally_by_agent(cells)
        for name in ("agent_days", "hours_of_week", "creator_months"):
            found = connection.exec_driver_sql(query.format(name)).all()
            assert {row[0]: tuple(map(float, row[1:])) for row in found} == {
                id: (tally.sessions, tally.failed, tally.credits) for id, tally in mine.items()
            }


def test_the_edges_of_a_range_belong_to_its_beginning(store: Store) -> None:
    tick = timedelta(microseconds=1)
    edges = {"in": OCTOBER.since, "before": OCTOBER.since - tick, "last": OCTOBER.until - tick}
    fill(store, [session(id, created_at=at) for id, at in (edges | {"out": OCTOBER.until}).items()])

    with store.connect() as connection:
        shown = figure_queries.find_costliest(connection, Window(("a",), OCTOBER))

    assert {one.id for one in shown} == {"in", "last"}


def test_creators_by_sessions_then_credits(store: Store) -> None:
    people = [{"id": "p", "first_name": "Ada", "last_name": None}, {"id": "q", "email": "q@x.org"}]
    rows = [session(f"p{n}", creator_id="p", state="failed") for n in range(3)]
    rows += [session(f"q{n}", creator_id="q", credit_cost=9) for n in range(3)]
    rows += [
        session("o", creator_id=None, state="idle"),
        session("old", creator_id="r", created_at=NOW - 99 * DAY),
    ]
    fill(store, rows, creators=people)
    window = Window(("a",), Period(NOW - DAY, NOW))

    with store.connect() as connection:
        top = figure_queries.find_top_creators(connection, window)
        active = figure_queries.count_creators(connection, window)

    assert [(one.id, one.name, one.email, one.sessions) for one in top] == [
        ("q", None, "q@x.org", 3),
        ("p", "Ada", None, 3),
        (None, None, None, 1),
    ]
    assert [(one.failed, one.settled, one.credits) for one in top] == [
        (0, 3, 27),
        (3, 3, 4.5),
        (0, 0, 1.5),
    ]
    assert active == 2


def test_the_costliest_come_first_and_those_without_cost_not_at_all(store: Store) -> None:
    costs = {f"s{number:02}": float(number) for number in range(15)} | {"none": None}
    fill(store, [session(id, credit_cost=cost) for id, cost in costs.items()])

    with store.connect() as connection:
        shown = figure_queries.find_costliest(connection, Window(("a",), ALL))

    assert [one.id for one in shown] == [f"s{number:02}" for number in range(14, 4, -1)]


def test_only_what_was_seen_open_tells_how_long_it_took(store: Store) -> None:
    begun = NOW - 10 * HOUR
    rows = [session(id, created_at=begun) for id in ("watched", "reopened", "backfilled", "open")]
    rows[-1]["state"] = "processing"
    looks = [
        ("watched", "queued", begun),
        ("watched", "completed", begun + 2 * HOUR),
        ("reopened", None, begun + HOUR),
        ("reopened", "failed", begun + 5 * HOUR),
        ("reopened", "processing", begun + 6 * HOUR),
        ("reopened", "completed", begun + 7 * HOUR),
        ("backfilled", "completed", begun + HOUR),
        ("open", "processing", begun + HOUR),
    ]
    fill(store, rows, states=looks)

    with store.connect() as connection:
        found = figure_queries.find_settle_times(connection, Window(("a",), ALL))

    assert found.observed == 2
    assert [(one.id, one.seconds) for one in found.slowest] == [
        ("reopened", 18_000.0),
        ("watched", 7200.0),
    ]


def test_the_slowest_are_ten(store: Store) -> None:
    begun = NOW - 100 * HOUR
    seconds = {f"s{n}": random.Random(n).randrange(1, 90_000) for n in range(137)}
    looks = [
        look
        for id, length in seconds.items()
        for look in ((id, "queued", begun), (id, "failed", begun + timedelta(seconds=length)))
    ]
    fill(store, [session(id, state="failed", created_at=begun) for id in seconds], states=looks)

    with store.connect() as connection:
        found = figure_queries.find_settle_times(connection, Window(("a",), ALL))

    longest = sorted(seconds, key=lambda id: -seconds[id])[:10]
    assert found.observed == 137
    assert [(one.id, one.seconds) for one in found.slowest] == [(id, seconds[id]) for id in longest]


def test_health_knows_holes_and_ends(store: Store) -> None:
    names = dict.fromkeys(("whole", "behind", "holed", "never"))
    fill(store, [session("s", "whole", state="idle")], names)
    prove(store, "whole", NOW)
    prove(store, "behind", NOW - 3 * DAY, NOW - 2 * DAY)
    prove(store, "holed", NOW - 20 * DAY)
    with store.engine.begin() as connection:
        top = {"agent_id": "holed", "oldest_created_at": NOW - 5 * DAY, "newest_created_at": NOW}
        connection.execute(insert(t.coverage).values(top | {"proven_at": None}))
    period = Period(NOW - 30 * DAY, NOW)

    with store.connect() as connection:
        found = {id: load_health(connection, id, period, NOW) for id in names}

    assert {id: (one.as_of, one.holes) for id, one in found.items()} == {
        "whole": (NOW, 0),
        "behind": (NOW - 3 * DAY, 0),
        "holed": (NOW, 1),
        "never": (None, 0),
    }
    stalest = {id: one.stalest for id, one in found.items()}
    assert stalest == {"whole": NOW, "behind": NOW - 2 * DAY, "holed": None, "never": None}
    assert found["whole"].open_sessions == 1


def test_the_range_before_is_counted_apart(store: Store) -> None:
    rows = [session(f"now{n}", creator_id="p") for n in range(3)]
    rows += [session(f"then{n}", created_at=NOW - 40 * DAY, state="failed") for n in range(2)]
    rows += [session("older", created_at=NOW - 200 * DAY)]
    fill(store, rows)

    found = load_figures(store, options("a"))

    assert found.before is not None
    assert (found.now.tally.sessions, found.before.tally.sessions) == (3, 2)
    assert (found.now.tally.failure_rate, found.before.tally.failure_rate) == (0, 1)
    assert (found.now.creators, found.before.creators) == (1, 0)
    assert shape.tally_cells(found.cells) == found.now.tally


def test_agents_that_lack_the_same_share_a_line(store: Store) -> None:
    ids = [f"agent {n}" for n in range(9)]
    fill(store, [session(f"s{id}", id) for id in ids])
    prove(store, ids[8])
    prove(store, ids[7], NOW - 3 * DAY)

    lines = make_view(load_figures(store, options(*ids)))["warnings"]

    assert lines[0].startswith("agent 0, agent 1, agent 2 and 4 more: nothing")
    assert lines[1].startswith("agent 7: sessions that began after 20 Nov, 18:30")


def test_sessions_that_lack_fields_are_told(store: Store) -> None:
    fill(store, [session("s1"), session("s2")])
    prove(store, "a")
    lacking = {"agent_id": "a", "received_at": NOW, "payload": "{}"}
    reason = "stored without `$.usage.credit_cost` (not a number)"
    rows = [
        lacking | {"payload_sha256": str(n), "reason": reason, "session_id": f"s{n}"}
        for n in (1, 2)
    ]
    with store.engine.begin() as connection:
        connection.execute(insert(t.rejected_records), rows)

    shown = make_view(load_figures(store, options("a")))

    assert shown["health"][0]["rejected"] == "2"
    told = "2 sessions lack fields that could not be read: usage.credit_cost (2)."
    assert [line for line in shown["warnings"] if line.endswith(told)] != []


def test_a_shorter_range_before_is_told(store: Store) -> None:
    fill(store, [session("now"), session("then", created_at=NOW - 40 * DAY)])
    prove(store, "a")

    assert "14 Oct, 18:30" in " ".join(make_view(load_figures(store, options("a")))["warnings"])

    fill(store, [session("long ago", "b", created_at=NOW - 99 * DAY)])
    prove(store, "b")
    assert make_view(load_figures(store, options("a", "b")))["warnings"] == []


def test_there_is_nothing_before_the_first_session(store: Store) -> None:
    fill(store, [session("first")])

    found = load_figures(store, options("a"))

    assert (found.before, found.period_before) == (None, None)


def test_history_is_drawn_from_its_first_session(store: Store) -> None:
    fill(store, [session("first", created_at=NOW - 5 * DAY), session("last")])
    ever = Period(datetime(3, 1, 1, tzinfo=UTC), NOW)

    found = load_figures(store, options("a", period=ever))

    assert (found.step, len(found.bins)) == ("day", 6)
    assert found.now.tally.sessions == 2
