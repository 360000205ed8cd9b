"""The comparison: what it tells turns any lake into the database."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.analytics.lake.compare import Change, LakeRow, Unsorted, compare
from etl.analytics.lake.source import SourceRow

keys = st.text(alphabet="ab\x00\N{PILE OF POO}", max_size=3)
digests = st.integers(0, 2)
tables = st.dictionaries(keys, digests)


def stream(database: dict[str, int]) -> Iterator[SourceRow]:
    return (SourceRow("", key, database[key], 0, (key, database[key])) for key in sorted(database))


def places(lake: list[tuple[str, int]]) -> list[LakeRow]:
    return [(key, digest, 0, row) for row, (key, digest) in enumerate(sorted(lake))]


def applied(lake: list[tuple[str, int]], changes: list[Change]) -> list[tuple[str, int]]:
    stale = {row for change in changes for _, _, _, row in change.stale}
    left = [row for number, row in enumerate(sorted(lake)) if number not in stale]
    return sorted(left + [change.row.raw for change in changes if change.row is not None])


@given(tables, st.lists(st.tuples(keys, digests)))
def test_a_lake_of_any_kind_becomes_the_database(
    database: dict[str, int], lake: list[tuple[str, int]]
) -> None:
    """Rows that are old, lacking, too many, or there several times."""
    changes = list(compare(stream(database), places(lake)))

    assert applied(lake, changes) == sorted(database.items())


@given(tables)
def test_what_is_equal_stays_untouched(database: dict[str, int]) -> None:
    assert list(compare(stream(database), places(list(database.items())))) == []


def test_a_stream_out_of_order_is_refused() -> None:
    rows = [SourceRow("", key, 1, 0, None) for key in "ba"]

    with pytest.raises(Unsorted):
        list(compare(rows, []))
