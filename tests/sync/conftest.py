"""A server with traits, and a database of either kind."""

from collections.abc import Iterator

import pytest

from etl.store.store import Store
from tests.sync.lab import Lab


@pytest.fixture
def lab(store: Store) -> Iterator[Lab]:
    """An agent without sessions and a database with the newest schema."""
    made = Lab(store.url)
    yield made
    made.close()
