"""Filling a world with sessions that look like real life."""

from random import Random

from etl.simulator.world import arrivals
from etl.simulator.world.rows import Row
from etl.simulator.world.session_factory import draw_state

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

# Callers may choose the id of a session: none of these may be taken for a URL by accident.
CHOSEN_IDS = ("order:{n}", "crm/ticket {n}", "Ω-{n}", "{n}", "a+b={n}%2F", "mail <{n}@example.com>")


def draw_id(rng: Random, prefix: str = "sess_", length: int = 10) -> str:
    """Return an id in the form that the API gives."""
    return prefix + "".join(rng.choices(ALPHABET, k=length))


def draw_session_id(rng: Random) -> str:
    """Return an id in the form that the API gives, or now and then one that a caller chose."""
    if rng.random() < 0.004:
        return rng.choice(CHOSEN_IDS).format(n=rng.randrange(10**9))
    return draw_id(rng)


def draw_rows(
    rng: Random, agent_id: str, count: int, days: float, now: int, taken: dict[str, Row]
) -> list[Row]:
    """Return *count* new rows of the last *days*, with ids that are not *taken*."""
    rows = []
    for number, instant in enumerate(arrivals.draw_beginnings(rng, count, days, now)):
        session_id = draw_free_id(rng, taken)
        row = Row(agent_id, (instant, session_id), draw_state(rng, now - instant), number)
        taken[session_id] = row
        rows.append(row)
    return rows


def draw_free_id(rng: Random, taken: dict[str, Row]) -> str:
    """Return a session id that is not *taken*."""
    session_id = draw_session_id(rng)
    while session_id in taken:
        session_id = draw_session_id(rng)
    return session_id
