"""The clock of this machine against the `Date` headers of responses."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.api.client import Client
from etl.api.clock_skew import RESOLUTION, ClockSkew, describe_skew, estimate_skew
from etl.config import Api
from etl.credentials import Credentials
from etl.errors import Denied
from etl.models import Counts
from etl.simulator import Fault, Simulator, World

NOW = datetime(2026, 5, 15, 14, 33, tzinfo=UTC)
seconds = st.floats(-1e6, 1e6).map(lambda n: timedelta(seconds=n))
waits = st.floats(0, 60).map(lambda n: timedelta(seconds=n))


@given(skew=seconds, before=waits, after=waits, fraction=st.integers(0, 999_999))
def test_it_never_shows_more_than_there_is(
    skew: timedelta, before: timedelta, after: timedelta, fraction: int
) -> None:
    """Whatever the latency, and with whole seconds alone; and it misses no more than those."""
    answered = NOW + timedelta(microseconds=fraction)
    sent_at, arrived_at = answered - before + skew, answered + after + skew

    found = estimate_skew(NOW, sent_at, arrived_at)

    assert abs(found) <= abs(skew)
    assert abs(skew - found) <= before + after + RESOLUTION
    assert found * skew.total_seconds() >= timedelta(0)


def test_the_least_of_some_responses_counts() -> None:
    skew = ClockSkew()
    assert skew.least is None
    for late in (20, 3, 9):
        skew.note("Fri, 15 May 2026 14:33:00 GMT", NOW, NOW + timedelta(seconds=late))
    assert skew.least == timedelta(0)

    for _ in range(8):
        hour = NOW + timedelta(hours=1)
        skew.note("Fri, 15 May 2026 14:33:00 GMT", hour, hour + timedelta(seconds=2))
    assert skew.least == timedelta(seconds=3599)


@pytest.mark.parametrize("date", [None, "", "soon", "Fri, 99 May 2026 14:33:00 GMT", "\x00"])
def test_what_is_no_date_says_nothing(date: str | None) -> None:
    skew = ClockSkew()

    skew.note(date, NOW, NOW)

    assert skew.least is None


@pytest.mark.parametrize(
    ("skew", "words"),
    [(None, []), (0, []), (5, []), (-5, []), (6, ["6 s ahead of"]), (-3600, ["3600 s behind"])],
)
def test_more_than_five_seconds_are_told(skew: float | None, words: list[str]) -> None:
    found = describe_skew(None if skew is None else timedelta(seconds=skew))

    assert len(found) == len(words)
    assert all(word in said for word, said in zip(words, found, strict=True))


@pytest.mark.parametrize("status", [200, 404])
def test_a_client_measures_it_by_any_response(api: Simulator, world: World, status: int) -> None:
    api.clock_ahead = 3600
    if status != 200:
        api.add_fault(Fault("status", status=status, times=None))
    with Client(Api(base_url=api.base_url), Credentials("sim-token")) as client:
        assert client.clock_skew is None
        for _ in range(3):
            with nullcontext() if status == 200 else pytest.raises(Denied):
                client.fetch_page(world.agent_ids()[0], Counts())

        assert client.clock_skew is not None
        assert timedelta(minutes=-60) <= client.clock_skew <= timedelta(minutes=-59)
