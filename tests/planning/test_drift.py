"""When a run has met so much that can't be read that it must not pass for a success."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.models import STORED_WITHOUT
from etl.planning.drift import WHOLE, count_fields, has_drifted, name_fields

numbers = st.integers(0, 10**6)


@pytest.mark.parametrize(
    ("unread", "seen", "drifted"),
    [
        (0, 0, False),
        (20, 20, False),
        (21, 21, True),
        (21, 209, True),
        (21, 210, False),
        (100, 999, True),
        (100, 1000, False),
    ],
)
def test_more_than_20_and_more_than_a_tenth_are_drift(
    unread: int, seen: int, drifted: bool
) -> None:
    assert has_drifted(unread, seen) is drifted


@given(numbers, numbers, numbers)
def test_more_unread_never_makes_drift_less_likely(unread: int, more: int, seen: int) -> None:
    assert has_drifted(unread, seen) <= has_drifted(unread + more, seen)


@given(numbers, numbers, numbers)
def test_more_good_records_never_make_drift_more_likely(unread: int, seen: int, more: int) -> None:
    assert has_drifted(unread, seen + more) <= has_drifted(unread, seen)


@given(numbers, numbers)
def test_drift_is_both_many_and_a_share(unread: int, seen: int) -> None:
    if has_drifted(unread, seen):
        assert unread > 20
        assert unread > seen / 10


def reason(*fields: str) -> str:
    return STORED_WITHOUT + ", ".join(f"`$.{field}` (not a number)" for field in fields)


def test_fields_are_counted_over_all_reasons_the_most_frequent_first() -> None:
    reasons = {
        reason("usage.credit_cost"): 100,
        reason("created_at", "usage.credit_cost"): 7,
        "the id is not a text - at `$.id`": 8,
    }

    counts = count_fields(reasons)

    assert list(counts.items()) == [("usage.credit_cost", 107), (WHOLE, 8), ("created_at", 7)]
    assert name_fields(counts) == "usage.credit_cost (107), the whole record (8), created_at (7)"
    assert name_fields(counts, most=1) == "usage.credit_cost (107) and 2 more"
    assert count_fields({}) == {}


fields = st.lists(st.sampled_from(["name", "usage.credit_cost", "creator"]), min_size=1, max_size=3)


@given(st.dictionaries(fields.map(lambda some: reason(*dict.fromkeys(some))), st.integers(1, 99)))
def test_no_field_is_counted_more_often_than_there_are_records(reasons: dict[str, int]) -> None:
    counts = count_fields(reasons)

    assert all(number <= sum(reasons.values()) for number in counts.values())
    assert sum(counts.values()) >= sum(reasons.values())
