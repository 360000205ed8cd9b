"""How the record of a generated session is made: all of it follows from a seed and a number."""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from etl.simulator.times import HOUR, format_instant, format_variant
from etl.simulator.world.random_draws import choose, sample, spread
from etl.simulator.world.seed_data import FIELDS, TITLES, Creator, creators

Record = dict[str, Any]

OPEN_STATES = ("processing", "idle", "queued", "approval_required")
OPEN_WEIGHTS = (45, 25, 15, 15)
TRIGGERS_PER_AGENT = 3

CREATORS = creators()
CREATOR_CHOICE = spread(CREATORS, (200 / (rank + 1) for rank in range(len(CREATORS))))
TYPES = ("chat", "api", "triggered", "slack", "web", "email", "workflow")
TYPE_CHOICE = spread(TYPES, (30, 25, 20, 12, 9, 3, 1))
CREDITS = sample(lambda rng: min(rng.lognormvariate(0.9, 1.3) * rng.paretovariate(2.5), 90_000))
TOKENS = sample(lambda rng: rng.lognormvariate(8.5, 1.4))


@dataclass(frozen=True)
class Recipe:
    """Makes the records of one agent's sessions; not safe for threads."""

    seed: int
    agent_id: str
    mixed_times: bool = False
    # One generator seeded anew for each record is cheaper than one each.
    _rng: Random = field(default_factory=Random, repr=False, compare=False)

    def make(self, number: int, session_id: str, instant: int, state: str | None) -> Record:
        """Return the list form of one session, but for its agent's name."""
        rng = self._rng
        rng.seed(self.seed * 1_000_003 + number)
        text = format_variant(instant, number) if self.mixed_times else format_instant(instant)
        record: Record = {
            "id": session_id,
            "agent_id": self.agent_id,
            "name": _name(rng),
            "type": None if rng.random() < 0.005 else choose(rng, TYPE_CHOICE),
            "messages": [],
            "created_at": text,
            "state": state,
            "agent_name": None,
            "creator": draw_creator(rng),
        }
        usage = draw_usage(rng, state)
        return record if usage is None else {**record, "usage": usage}


def trigger_of(agent_id: str, number: int, record: Record) -> str | None:
    """Return the id of the trigger that began a generated session, if one did."""
    if record.get("type") != "triggered":
        return None
    return f"trig_{agent_id}_{number % TRIGGERS_PER_AGENT}"


def draw_state(rng: Random, age: int) -> str:
    """Return a likely state for a session *age* microseconds after its creation."""
    draw = rng.random()
    if draw < 0.9 / (1 + (age / HOUR) ** 2):
        return rng.choices(OPEN_STATES, OPEN_WEIGHTS)[0]
    if draw > 0.97:
        return "idle"
    return "failed" if draw > 0.88 else "completed"


def draw_creator(rng: Random) -> Creator | None:
    """Return a creator: mostly whole, sometimes partial, full of nulls, or None."""
    creator = choose(rng, CREATOR_CHOICE)
    draw = rng.random()
    if draw > 0.12:
        return dict(creator)
    return _strip_creator(creator, draw)


def _strip_creator(creator: Creator, draw: float) -> Creator | None:
    if draw < 0.04:
        return None
    if draw < 0.05:
        return dict.fromkeys(FIELDS)
    if draw < 0.07:
        return {"id": creator["id"]}
    if draw < 0.09:
        return {**dict.fromkeys(FIELDS), "id": creator["id"]}
    if draw < 0.10:
        return {**creator, "id": None}
    return {"id": creator["id"], "first_name": creator["first_name"], "last_name": None}


def draw_usage(rng: Random, state: str | None) -> Record | None:
    """Return a usage with heavy-tailed numbers, or None where the API leaves it out."""
    if state == "queued" or rng.random() < 0.08:
        return None
    credits_spent = choose(rng, CREDITS) * (0.9 + rng.random() / 5)
    usage: Record = {
        "credit_cost": _round(credits_spent),
        "tool_credit_cost": _round(credits_spent * rng.random() * 0.4),
        "flow_credit_cost": _round(credits_spent * rng.random() * 0.2),
        "input_tokens": int(choose(rng, TOKENS)),
        "output_tokens": int(choose(rng, TOKENS) / 7),
    }
    if rng.random() < 0.5:
        usage["cached_input_tokens"] = int(usage["input_tokens"] * rng.random())
        usage["cache_write_input_tokens"] = None if rng.random() < 0.1 else int(rng.random() * 4000)
        usage["reasoning_tokens"] = int(rng.random() * 2000)
    if rng.random() < 0.02:
        usage["credit_cost"] = None
    return usage


def grow_usage(usage: object, rng: Random) -> Record:
    """Return *usage* after some more work: every number in it at least as large."""
    if not isinstance(usage, dict):
        return {"credit_cost": _round(1 + rng.random()), "input_tokens": 900, "output_tokens": 80}
    return {name: _grow(value, rng) for name, value in usage.items()}


def _grow(value: object, rng: Random) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value + 1 + int(value * rng.random() * 0.5)
    return _round(value * (1 + rng.random() * 0.5) + 0.1)


def _round(value: float) -> float | int:
    rounded = round(value, 2 if value > 1 else 4)
    # The API's samples show whole costs without a fraction.
    return int(rounded) if rounded.is_integer() else rounded


def _name(rng: Random) -> str | None:
    draw = rng.random()
    if draw < 0.03:
        return None
    title = choose(rng, TITLES)
    if draw < 0.05:
        return title * 12
    return title if draw < 0.5 else f"{title} #{int(rng.random() * 9999)}"
