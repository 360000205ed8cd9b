"""When an outage begins and ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import Denied, Malformed, Transient
from etl.events import (
    DatabaseAnswered,
    DatabaseFailed,
    Event,
    OutageBegan,
    OutageEnded,
    RequestAnswered,
    RequestGivenUp,
)
from etl.service.monitor.outages import Outages

GONE = Transient("no answer")
BROKEN = OSError("refused")
EVENTS: dict[Event, tuple[str, bool] | None] = {
    RequestGivenUp("a page", GONE): ("api", True),
    RequestAnswered(200, 0.1): ("api", False),
    RequestAnswered(503, 0.1): None,
    RequestAnswered(None, 0.1): None,
    RequestGivenUp("a page", Transient("slow down", status=429)): None,
    RequestGivenUp("a page", Malformed("no JSON")): None,
    RequestGivenUp("a page", Denied("no", status=403)): None,
    DatabaseFailed(BROKEN): ("database", True),
    DatabaseAnswered(): ("database", False),
}
"""What an event says of whom: that it is away."""


def told(events: list[Event]) -> list[Event]:
    found: list[Event] = []
    clock = iter(range(10_000))
    outages = Outages(found.append, clock=lambda: float(next(clock)))
    for event in events:
        outages.observe(event)
    return found


@given(st.lists(st.sampled_from(list(EVENTS))))
def test_each_outage_is_told_once_with_its_beginning_and_its_end(events: list[Event]) -> None:
    away: dict[str, bool] = {"api": False, "database": False}
    wanted = []
    for event in events:
        says = EVENTS[event]
        if says is not None and away[says[0]] != says[1]:
            wanted.append(says)
            away[says[0]] = says[1]

    found = [(event.of, isinstance(event, OutageBegan)) for event in told(events)]  # type: ignore[union-attr]

    assert found == wanted


def test_it_says_why_and_for_how_long() -> None:
    began, ended = told(
        [RequestGivenUp("a page", GONE), RequestGivenUp("again", GONE), RequestAnswered(200, 0.1)]
    )

    assert began == OutageBegan("api", GONE)
    assert ended == OutageEnded("api", pytest.approx(1.0))
