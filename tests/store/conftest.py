"""A shorter history than elsewhere: what matters here is single records."""

import pytest

from etl.simulator import World


@pytest.fixture
def world() -> World:
    """Two agents with three pages each."""
    return World.generate(agents=2, sessions=120, seed=3)
