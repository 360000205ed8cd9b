"""The generated data, and how they change as time passes."""

import re
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest

from etl.simulator import World
from etl.simulator.times import format_instant, parse_instant
from etl.simulator.world.session_factory import grow_usage

NOW = datetime(2026, 6, 3, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def sessions():
    """Five thousand sessions of one agent; not to be changed."""
    world = World.generate(agents=1, sessions=5000, seed=3, now=NOW)
    return world.sessions(world.agent_ids()[0])


def everything(world):
    return {agent_id: world.sessions(agent_id) for agent_id in world.agent_ids()}


def test_the_same_seed_and_now_give_the_same_world():
    """In whatever order the sessions are looked at, and as time passes."""
    one, two, other = (World.generate(sessions=200, seed=seed, now=NOW) for seed in (5, 5, 6))
    two.session(two.sessions(two.agent_ids()[0])[7]["id"])

    assert everything(one) == everything(two)
    assert everything(one) != everything(other)

    one.live(86400)
    two.live(86400)

    assert everything(one) == everything(two)


def test_records_have_the_documented_fields(sessions):
    """Those of the list response and no others; only usage may be missing."""
    fields = {"id", "agent_id", "name", "type", "messages", "created_at", "state", "agent_name",
              "creator"}  # fmt: skip

    assert {frozenset(fields), frozenset({*fields, "usage"})} == {frozenset(s) for s in sessions}
    assert len(sessions) == len({session["id"] for session in sessions})


def test_creators_are_many_and_of_several_scripts(sessions):
    """Ten or more, with names in Latin, Cyrillic, Arabic, Han, emoji and combining marks."""
    names = {(s["creator"] or {}).get("first_name") for s in sessions} - {None}
    kinds = {unicodedata.name(char).split()[0] for name in names for char in name}

    assert len(names) >= 10
    assert {"LATIN", "CYRILLIC", "ARABIC", "CJK", "FOX", "COMBINING"} <= kinds


def test_creators_may_be_absent_or_partial(sessions):
    """None, all null, without id, or with an id alone."""
    creators = [session["creator"] for session in sessions]

    assert None in creators
    assert {"id": "user_2b9d71f0"} in creators
    assert dict.fromkeys(("id", "first_name", "last_name", "email", "profile_picture")) in creators
    assert any(c and c["id"] is None and c.get("last_name") for c in creators)


def test_states_types_and_gaps_are_various(sessions):
    """All states occur, several types, failures, null names, absent usage."""
    states = Counter(session["state"] for session in sessions)

    assert {"completed", "failed", "idle", "processing", "queued", "approval_required"} == set(
        states
    )
    assert 0.05 < states["failed"] / len(sessions) < 0.15
    assert len({session["type"] for session in sessions}) >= 6
    assert any(session["name"] is None for session in sessions)
    assert 0.05 < sum("usage" not in session for session in sessions) / len(sessions) < 0.2


def test_recent_sessions_are_open(sessions):
    """Most of the last hour, few of those before."""
    busy = {"processing", "queued", "approval_required"}
    recent = [s["state"] in busy for s in sessions if s["created_at"] >= "2026-06-03T11:30"]
    old = [s["state"] in busy for s in sessions if s["created_at"] < "2026-06-02"]

    assert recent
    assert sum(recent) / len(recent) > 0.4
    assert sum(old) / len(old) < 0.02


def test_costs_are_heavy_tailed(sessions):
    """The dearest hundredth costs more than a tenth of the whole."""
    costs = sorted(s.get("usage", {}).get("credit_cost") or 0 for s in sessions)

    assert sum(costs[-50:]) > 0.1 * sum(costs)


def test_days_and_hours_are_uneven(sessions):
    """Working days and hours see most; some instants see two sessions."""
    moments = [datetime.fromisoformat(s["created_at"]) for s in sessions]
    weekdays = Counter(moment.weekday() for moment in moments)

    assert weekdays[1] > 3 * weekdays[6]
    assert sum(8 <= moment.hour < 18 for moment in moments) > 0.7 * len(moments)
    assert sum(a == b for a, b in pairwise(moments)) > 20
    assert max(moments) <= NOW
    assert min(moments) >= NOW - timedelta(days=121)


def test_times_can_come_in_every_known_form():
    """With Z, with an offset, with a fraction, with a space, without an offset."""
    world = World.generate(agents=1, sessions=40, now=NOW, mixed_times=True)
    texts = [session["created_at"] for session in world.sessions(world.agent_ids()[0])]
    instants = [parse_instant(text) for text in texts]

    assert len({re.sub(r"\d", "0", text) for text in texts}) == 5
    assert sorted(instants, reverse=True) == instants


def test_time_brings_sessions_and_changes_others():
    """In three days sessions arrive, move on, are reopened, renamed and removed."""
    world = World.generate(agents=1, sessions=5000, now=NOW, days=30)
    agent_id = world.agent_ids()[0]
    before = {session["id"]: session for session in world.sessions(agent_id)}
    events = world.live(3 * 86400)
    after = {session["id"]: session for session in world.sessions(agent_id)}
    same = [(before[key], after[key]) for key in before.keys() & after.keys()]

    assert 20 < len(after.keys() - before.keys()) <= events.added
    assert before.keys() - after.keys()
    assert any(old["state"] == "processing" != new["state"] for old, new in same)
    assert any(
        old["state"] == "completed" and old.get("usage") != new.get("usage") for old, new in same
    )
    assert any(old["name"] != new["name"] for old, new in same)
    assert all(old["created_at"] == new["created_at"] for old, new in same)
    assert NOW + timedelta(days=3) == world.now


def test_new_sessions_lie_in_the_time_that_passed():
    """Not before it began and not after it ended."""
    world = World.generate(agents=1, sessions=5000, now=NOW)
    agent_id = world.agent_ids()[0]
    newest = parse_instant(world.sessions(agent_id)[0]["created_at"])
    world.live(3600, Random(2))
    fresh = [s["created_at"] for s in world.sessions(agent_id)]
    fresh = [text for text in fresh if parse_instant(text) > newest]

    assert fresh
    assert min(fresh) >= "2026-06-03T12:00:00Z"
    assert max(fresh) < "2026-06-03T13:00:00Z"


def test_no_open_session_stays_open_for_ever():
    """After a month without newcomers only what was reopened could still run."""
    world = World.generate(agents=1, sessions=500, now=NOW)
    world.pace = 0
    for _ in range(30):
        world.live(86400)

    assert {"completed", "failed"} == {s["state"] for s in world.sessions(world.agent_ids()[0])}


def test_reopening_grows_usage_and_keeps_the_rest(world):
    """Same id, same created_at, processing again, no smaller number anywhere."""
    before = next(s for s in world.sessions(world.agent_ids()[0]) if "usage" in s)
    world.reopen(before["id"])
    after = world.session(before["id"])

    assert after["state"] == "processing"
    assert {**before, "state": "processing", "usage": after["usage"]} == after
    assert all(after["usage"][k] is v is None or after["usage"][k] > v
               for k, v in before["usage"].items())  # fmt: skip


def test_usage_can_begin_with_nothing():
    """A session without usage, or with a spoilt one, gets one."""
    assert {"credit_cost", "input_tokens", "output_tokens"} == set(grow_usage("oops", Random(1)))


def test_what_is_read_is_a_copy(world):
    """Changing what a reading returned changes nothing."""
    session = world.sessions(world.agent_ids()[0])[0]
    session["creator"] = session["usage"] = "spoilt"

    assert session != world.session(session["id"])


def test_ids_are_unique(world):
    """An id that is there, or was removed, can't be added again."""
    agent_id = world.agent_ids()[0]
    taken, removed = (session["id"] for session in world.sessions(agent_id)[:2])
    world.remove(removed)

    for session_id in (taken, removed):
        with pytest.raises(ValueError, match="taken"):
            world.add_session(agent_id, id=session_id)


def test_a_new_session_begins_now_by_default(world):
    """Now is the world's now, on whole seconds."""
    session_id = world.add_session(world.agent_ids()[0])

    assert world.session(session_id)["created_at"] == "2026-06-03T12:00:00Z"


def test_a_world_without_now_follows_the_clock():
    """Its new sessions are dated by the real time."""
    world = World.generate(agents=1, sessions=1)
    text = world.session(world.add_session(world.agent_ids()[0]))["created_at"]

    assert abs(datetime.now(UTC) - datetime.fromisoformat(text)) < timedelta(minutes=10)


def test_instants_are_written_and_read():
    """Whole seconds without a fraction; nonsense is None."""
    assert format_instant(parse_instant("2026-05-14 09:15:00")) == "2026-05-14T09:15:00Z"
    assert (
        format_instant(parse_instant("2026-05-14T11:15:00.000001+02:00"))
        == "2026-05-14T09:15:00.000001Z"
    )
    assert parse_instant("soon") is None


def test_a_large_world_is_whole():
    """Some thousand sessions of one agent."""
    world = World.generate(agents=1, sessions=10_000, now=NOW)

    assert {world.agent_ids()[0]: 10_000} == world.counts()
