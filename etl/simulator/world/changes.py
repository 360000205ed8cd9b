"""Time passing in a world."""

from dataclasses import dataclass
from random import Random

from etl.simulator.times import SECOND, to_datetime
from etl.simulator.world.arrivals import weight
from etl.simulator.world.edits import EditableAccount
from etl.simulator.world.session_factory import draw_usage, grow_usage

# How long a session stays in an open state, in seconds, on average.
STAY = {"queued": 60.0, "processing": 300.0, "approval_required": 7200.0, "idle": 86400.0}

# How often a session at work spends more, in seconds.
SPENDS_EVERY = 60.0

# Of the number of new sessions: how many old ones see this happen.
REOPENED_SHARE = 0.08
RENAMED_SHARE = 0.04
REMOVED_SHARE = 0.01


@dataclass
class Events:
    """How many sessions saw what happen."""

    added: int = 0
    moved_on: int = 0
    reopened: int = 0
    renamed: int = 0
    removed: int = 0


def live(world: EditableAccount, seconds: float, rng: Random) -> Events:
    """Let *seconds* pass in *world*, and move its clock on by them."""
    events = Events()
    while seconds > 0:
        # No hour is as busy as the next.
        step = min(seconds, 3600.0)
        _live_step(world, step, rng, events)
        seconds -= step
    return events


def _live_step(world: EditableAccount, seconds: float, rng: Random, events: Events) -> None:
    for agent_id in world.agent_ids():
        fresh = _draw_count(rng, world.pace * seconds * weight(world.lived_to))
        _move_on(world, agent_id, seconds, rng, events)
        _touch_old(world, agent_id, fresh, rng, events)
        _add(world, agent_id, fresh, seconds, rng, events)
    world.lived_to += int(seconds * SECOND)


def _draw_count(rng: Random, mean: float) -> int:
    """Return a whole number that is *mean* on average and varies as rare events do."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    count, waited = 0, rng.expovariate(1)
    while waited < mean:
        count, waited = count + 1, waited + rng.expovariate(1)
    return count


def _add(
    world: EditableAccount, agent_id: str, count: int, seconds: float, rng: Random, events: Events
) -> None:
    for _ in range(count):
        age = rng.random() * seconds
        moment = world.lived_to + int((seconds - age) * SECOND)
        state = "queued" if age < 10 else "processing" if age < 300 else "completed"
        world.add_session(
            agent_id,
            created_at=to_datetime(moment // SECOND * SECOND),
            state=state,
            name=rng.choice(("New task", "Новая задача", "新しいタスク", None)),
        )
    events.added += count


def _move_on(
    world: EditableAccount, agent_id: str, seconds: float, rng: Random, events: Events
) -> None:
    """Let open sessions spend credits, and some of them leave their state."""
    for state, stay in STAY.items():
        for session_id in world.ids_in_state(agent_id, state):
            if rng.random() < 1 - 2 ** (-seconds / stay):
                _leave(world, session_id, state, rng)
                events.moved_on += 1
            elif state == "processing" and rng.random() < seconds / SPENDS_EVERY:
                record = world.session(session_id)
                world.change(session_id, usage=grow_usage(record.get("usage"), rng))


def _leave(world: EditableAccount, session_id: str, state: str, rng: Random) -> None:
    record = world.session(session_id)
    if state != "processing":
        # A session that idles waits for its user, who comes back or never does.
        world.change(session_id, state="completed" if state == "idle" else "processing")
        return
    after = rng.choices(("completed", "failed", "approval_required", "idle"), (84, 9, 2, 5))[0]
    usage = record.get("usage") or draw_usage(rng, after) or {}
    world.change(session_id, state=after, usage=grow_usage(usage, rng))


def _touch_old(
    world: EditableAccount, agent_id: str, fresh: int, rng: Random, events: Events
) -> None:
    for session_id in _pick(world, agent_id, rng, fresh * REOPENED_SHARE):
        world.reopen(session_id)
        events.reopened += 1
    for session_id in _pick(world, agent_id, rng, fresh * RENAMED_SHARE):
        world.change(session_id, name=f"Renamed {rng.randrange(10_000)}")
        events.renamed += 1
    for session_id in _pick(world, agent_id, rng, fresh * REMOVED_SHARE):
        world.remove(session_id)
        events.removed += 1


def _pick(world: EditableAccount, agent_id: str, rng: Random, mean: float) -> list[str]:
    """Return the ids of some sessions, mostly recent ones."""
    return world.draw_ids(agent_id, rng, _draw_count(rng, mean))
