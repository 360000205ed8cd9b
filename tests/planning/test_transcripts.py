"""When a failed transcript is tried again, when to give up."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ApiError, Denied, Malformed, Transient
from etl.planning.transcripts import MOST_TROUBLE, count_troubles, retry_at, should_give_up

instants = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)
DENIED = [Denied("no", status=status) for status in (400, 403, 404, 410)]
errors = st.sampled_from([*DENIED, Transient("down", status=503), Transient("net"), Malformed("?")])
outcomes = st.lists(st.none() | errors)


@given(instants)
def test_what_passes_is_tried_in_the_next_run_and_what_is_refused_is_not(now: datetime) -> None:
    assert retry_at(Transient("down"), now) == now
    for error in DENIED:
        assert retry_at(error, now) > retry_at(Malformed("?"), now) > now + timedelta(hours=1)


@given(outcomes)
def test_it_gives_up_exactly_after_so_many_failures_in_a_row(seen: list[ApiError | None]) -> None:
    troubles, row = 0, 0
    for error in seen:
        troubles = count_troubles(troubles, error)
        row = row + 1 if isinstance(error, Transient | Malformed) else 0

        if error is not None:
            assert should_give_up(troubles, error) == (row >= MOST_TROUBLE)


def test_a_refused_credential_ends_it_at_once() -> None:
    refused = Denied("who are you?", status=401)

    assert should_give_up(count_troubles(0, refused), refused)


@given(st.integers(0, 200))
def test_sessions_that_are_gone_are_no_outage(number: int) -> None:
    troubles = 0
    for _ in range(number):
        troubles = count_troubles(troubles, DENIED[2])
        assert not should_give_up(troubles, DENIED[2])
