"""Fixtures: an API, and a user's folder configured for it, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.simulator import Simulator, World
from tests.process.project import SECRET, Project
from tests.support.postgres import Cluster


@pytest.fixture
def world() -> World:
    """Two agents with a history of a dozen pages."""
    return World.generate(agents=2, sessions=600, seed=11)


@pytest.fixture
def api(world: World) -> Iterator[Simulator]:
    """The API over real HTTP, with our credential and a little latency."""
    with Simulator(world, token=SECRET, latency=0.02) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A folder with SQLite."""
    yield from kept_private(Project(tmp_path))


@pytest.fixture(params=["sqlite", "postgres"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A folder whose database is SQLite, and one with PostgreSQL."""
    if request.param == "sqlite":
        yield from kept_private(Project(tmp_path))
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.fresh()
    yield from kept_private(Project(tmp_path, database=url))
    cluster.drop(url)


def kept_private(project: Project) -> Iterator[Project]:
    """Hand a project over, and see that no file of it holds the credential afterwards."""
    yield project
    holding = [name for name, text in project.files().items() if SECRET.encode() in text]
    assert holding == []
