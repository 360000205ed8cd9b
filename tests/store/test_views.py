"""The views against a plain Python computation of the same figures, on both databases."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, text

from etl.clock import utc_now
from etl.store.schema import calendar, migrate
from etl.store.schema import tables as t
from etl.store.schema.column_types import format_instant
from etl.store.schema.engine import open_engine

Row = dict[str, Any]

ZONES = ("UTC", "Europe/Berlin", "America/St_Johns")
AGENTS = ("agent", "Агент 'x'", "空\U0001f4a5")
CREATORS = (None, "user", "e\u0301", "\u00e9")
"""The last two look the same and are not."""

SEEN = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
CREDITS = ("credit_cost", "tool_credit_cost", "flow_credit_cost")
TOKENS = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "output_tokens",
    "reasoning_tokens",
)
EDGES = [
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, tzinfo=UTC),
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Berlin's clocks go forward
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and back
    datetime(2026, 11, 1, 4, 30, tzinfo=UTC),  # St. John's go back
    datetime(2026, 12, 31, 23, tzinfo=UTC),  # Berlin's new year
    datetime(2040, 1, 1, tzinfo=UTC),
]
NEAR = st.one_of(
    st.sampled_from([0, 1, -1]).map(lambda n: timedelta(microseconds=n)),
    st.integers(-48, 48).map(lambda n: timedelta(minutes=30 * n)),
    st.timedeltas(timedelta(days=-40), timedelta(days=40)),
)
WORDS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
STATES = st.sampled_from([None, "completed", "failed", "idle", "paused \u2028"])
SPANS = st.lists(
    st.tuples(st.timedeltas(timedelta(0), timedelta(days=3)), STATES), min_size=1, max_size=4
)


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Sessions around one edge of the calendar."""
    edge = draw(st.sampled_from(EDGES))
    row = st.fixed_dictionaries(
        {
            "agent_id": st.sampled_from(AGENTS),
            "creator_id": st.sampled_from(CREATORS),
            "name": WORDS,
            "type": WORDS,
            "created_at": st.none() | NEAR.map(lambda near: edge + near),
            "missing_since": st.sampled_from([None, SEEN]),
            "seen": SPANS,
            # Sixteenths are exact in floating point, in whatever order they are summed.
            **{name: st.none() | st.integers(-99, 9**9).map(lambda n: n / 16) for name in CREDITS},
            **{name: st.none() | st.integers(-(2**59), 2**59) for name in TOKENS},
        }
    )
    return draw(st.lists(row, max_size=12))


def session(**fields: Any) -> Row:
    """A row of a history."""
    usual: Row = dict.fromkeys([*CREDITS, *TOKENS, "creator_id", "name", "type", "missing_since"])
    return usual | {"agent_id": "agent", "seen": [(timedelta(0), "completed")], **fields}


FAR = [datetime.min, datetime.max, datetime(2019, 12, 31), datetime(2026, 1, 1)]
FAR_APART = [session(created_at=at.replace(tzinfo=UTC)) for at in FAR]


# -- What the views must say ----------------------------------------------------------------------


def dated(rows: list[Row], zone: str) -> Iterator[Row]:
    """The sessions that have a day, with it."""
    for row in rows:
        if row["created_at"] is None or row["created_at"].year in (1, 9999):
            continue
        local = row["created_at"].astimezone(ZoneInfo(zone))
        if 2020 <= local.year <= 2039:
            day = local.date()
            week, month = day - timedelta(days=day.weekday()), day.replace(day=1)
            place = {"weekday": day.isoweekday(), "hour": local.hour}
            yield row | {"day": day, "week": week, "month": month} | place


def total(rows: Iterable[Row], name: str) -> Fraction | None:
    known = [Fraction(row[name]) for row in rows if row[name] is not None]
    return sum(known, Fraction(0)) if known else None


def usage(rows: list[Row]) -> Row:
    return {name: total(rows, name) for name in (*CREDITS, *TOKENS)}


def states(rows: list[Row]) -> Row:
    found = [row["state"] for row in rows]
    settled = {state: found.count(state) for state in ("completed", "failed")}
    return {"sessions": len(rows)} | settled


def failures(rows: list[Row]) -> Row:
    found = states(rows)
    settled = found["completed"] + found["failed"]
    return found | {
        "failure_rate": Fraction(found["failed"] / settled) if settled else None,
        "credit_cost": total(rows, "credit_cost"),
        "failed_credit_cost": total((r for r in rows if r["state"] == "failed"), "credit_cost"),
    }


def grouped(rows: Iterable[Row], keys: str, figures: Callable[[list[Row]], Row]) -> list[Row]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys.split())].append(row)
    return [dict(zip(keys.split(), key, strict=True)) | figures(g) for key, g in groups.items()]


def active(rows: list[Row]) -> list[Row]:
    first: dict[tuple[str, str], date] = {}
    for row in sorted(rows, key=lambda row: row["month"]):
        first.setdefault((row["agent_id"], row["creator_id"]), row["month"])

    def count(group: list[Row]) -> Row:
        people = {row["creator_id"] for row in group}
        here = group[0]
        new = sum(first[here["agent_id"], one] == here["month"] for one in people)
        return {
            "creators": len(people),
            "new_creators": new,
            "returning_creators": len(people) - new,
        }

    return grouped((r for r in rows if r["creator_id"] is not None), "agent_id month", count)


def spans(row: Row) -> Iterator[Row]:
    seen = row["states"]
    for number, (at, state) in enumerate(seen):
        until = seen[number + 1][0] if number + 1 < len(seen) else SEEN + timedelta(days=9)
        yield {
            "session_id": row["id"],
            "agent_id": row["agent_id"],
            "state": state,
            "observed_from": at,
            "observed_until": until,
            "seconds": Fraction((until - at).total_seconds()),
            "is_last": number + 1 == len(seen),
        }


def wanted(rows: list[Row], zone: str) -> dict[str, list[Row]]:
    """Every view but session_freshness, of which other tests know."""
    days = list(dated(rows, zone))
    on_days = {row["id"] for row in days}
    per_day = "creator_id name type state created_at day week month weekday hour missing_since"

    def all_of_them(group: list[Row]) -> Row:
        return {
            "sessions": len(group),
            "undated": sum(row["id"] not in on_days for row in group),
            "missing": sum(row["missing_since"] is not None for row in group),
        } | usage(group)

    def hours(group: list[Row]) -> Row:
        return states(group) | {"credit_cost": total(group, "credit_cost")}

    return {
        "session_days": [
            {"session_id": row["id"], "agent_id": row["agent_id"]}
            | {name: row[name] for name in (*per_day.split(), *CREDITS, *TOKENS)}
            for row in days
        ],
        "agent_days": grouped(days, "agent_id day", lambda g: states(g) | usage(g)),
        "agent_weeks": grouped(days, "agent_id week", failures),
        "hours_of_week": grouped(days, "agent_id week weekday hour", hours),
        "creator_months": grouped(
            days, "agent_id creator_id month", lambda g: states(g) | usage(g)
        ),
        "active_creators": active(days),
        "type_states": grouped(rows, "agent_id type state", all_of_them),
        "open_sessions": [
            {"session_id": row["id"], "state_observed_at": row["states"][-1][0]}
            | {"state_confirmed_at": SEEN + timedelta(days=9)}
            | {name: row[name] for name in ("agent_id", "creator_id", "name", "type", "state")}
            | {name: row[name] for name in ("created_at", "credit_cost")}
            for row in rows
            if row["state"] not in ("completed", "failed") and row["missing_since"] is None
        ],
        "state_spans": [span for row in rows for span in spans(row)],
    }


# -- What they say --------------------------------------------------------------------------------


def save(connection: Connection, history: list[Row]) -> list[Row]:
    """Store a history; the rows as the computation wants them."""
    seen = {"first_seen_at": SEEN, "updated_at": SEEN}
    connection.execute(insert(t.agents), [{"id": id} | seen for id in AGENTS])
    people = [{"id": id, "as_of": SEEN} | seen for id in CREATORS if id is not None]
    connection.execute(insert(t.creators), people)
    rows = []
    for number, drawn in enumerate(history):
        at, states = SEEN, []
        for gap, state in drawn["seen"]:
            at += gap + timedelta(microseconds=1)
            states.append((at, state))
        row = {name: value for name, value in drawn.items() if name != "seen"}
        row |= {"id": f"sess_{number}", "state": states[-1][1]}
        stored = row | seen | {"as_of": SEEN + timedelta(days=9)}
        looks = [{"session_id": row["id"], "state": s, "observed_at": at} for at, s in states]
        if len(states) == 1 and number % 2:
            stored |= {"first_seen_at": at, "first_run_id": 1}
            looks = []
        connection.execute(insert(t.sessions), stored)
        if looks:
            connection.execute(insert(t.state_changes), looks)
        rows.append(row | {"states": states})
    return rows


def plain(value: Any) -> Any:
    """A value in a form that both databases and Python share."""
    if isinstance(value, datetime):
        return format_instant(value.astimezone(UTC))
    if isinstance(value, date):
        return value.isoformat()
    return Fraction(value) if isinstance(value, bool | int | float | Decimal) else value


def response(connection: Connection, view: str) -> list[Row]:
    rows = connection.execute(text(f"SELECT * FROM {view}")).mappings()
    return [{name: plain(value) for name, value in row.items()} for row in rows]


def in_order(rows: Iterable[Row]) -> list[list[tuple[str, Any]]]:
    plains = [sorted((name, plain(value)) for name, value in row.items()) for row in rows]
    return sorted(plains, key=str)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """A database that knows several zones, for all tests here: each rolls back what it stores."""
    url = f"sqlite:///{tmp_path_factory.mktemp('views') / 'test.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").fresh()
    opened = open_engine(url)
    migrate.upgrade(opened)
    with opened.begin() as connection:
        for zone in ZONES[1:]:
            calendar.set_time_zone(connection, ZoneInfo(zone))
        choose(connection, "UTC")
    yield opened
    opened.dispose()


def choose(connection: Connection, zone: str) -> None:
    connection.execute(t.report_settings.update().values(time_zone=zone))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@example(history=FAR_APART, zone="Europe/Berlin")
@example(history=[], zone="UTC")
@given(history=histories(), zone=st.sampled_from(ZONES))
def test_the_views_say_what_python_works_out(engine: Engine, history: list[Row], zone: str) -> None:
    with engine.connect() as connection:  # and rolled back at its end
        choose(connection, zone)
        rows = save(connection, history)

        for view, right in wanted(rows, zone).items():
            found = response(connection, view)
            for row in found:
                age, began = row.pop("age_seconds", None), row.get("created_at")
                assert view != "open_sessions" or (age is None) == (began is None)
            assert in_order(found) == in_order(right), view


@pytest.mark.parametrize("zone", ZONES)
def test_all_sessions_are_on_a_day_or_counted_as_undated(engine: Engine, zone: str) -> None:
    times = [None, *FAR, *EDGES]
    with engine.connect() as connection:
        choose(connection, zone)
        save(connection, [session(created_at=at and at.replace(tzinfo=UTC)) for at in times])

        days = sum(row["sessions"] for row in response(connection, "agent_days"))
        undated = sum(row["undated"] for row in response(connection, "type_states"))

    assert days + undated == len(times)
    assert undated >= 4


def test_an_open_session_is_as_old_as_the_clock_says(engine: Engine) -> None:
    began = utc_now() - timedelta(days=400, microseconds=7)
    with engine.connect() as connection:
        save(connection, [session(created_at=began, seen=[(timedelta(0), "idle")])])
        [row] = response(connection, "open_sessions")

    assert began - timedelta(seconds=1) < utc_now() - timedelta(seconds=float(row["age_seconds"]))
    assert timedelta(seconds=float(row["age_seconds"])) > timedelta(days=400, seconds=-1)


def test_one_absurd_number_does_not_end_the_others(engine: Engine) -> None:
    absurd = dict.fromkeys(TOKENS, 2**63 - 1) | {"credit_cost": 1e300}
    at = datetime(2026, 5, 5, tzinfo=UTC)
    with engine.connect() as connection:
        save(connection, [session(created_at=at, **absurd)] * 3)
        [day] = response(connection, "agent_days")

    assert float(day["input_tokens"]) == pytest.approx(3 * (2**63 - 1))
    assert float(day["credit_cost"]) == pytest.approx(3e300)
