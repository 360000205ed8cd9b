"""Fixtures: both kinds of database, with the newest schema."""

from collections.abc import Iterator

import pytest

from tests.torture.databases import KINDS, Databases, temporary_databases


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Makes databases of a kind."""
    cluster = request.getfixturevalue("postgres") if request.param == "postgres" else None
    with temporary_databases(cluster) as made:
        yield made
