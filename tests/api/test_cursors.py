"""Which refusals of a request with a cursor are the cursor's."""

from collections.abc import Iterator

import pytest

from etl.api.client import Client
from etl.config import Api
from etl.credentials import Credentials
from etl.errors import CursorRefused, Denied, Transient
from etl.models import Counts
from etl.simulator import Fault, Simulator, World


@pytest.fixture
def client(api: Simulator) -> Iterator[Client]:
    settings = Api(base_url=api.base_url, timeout=5.0, max_attempts=1)
    with Client(settings, Credentials("sim-token")) as opened:
        yield opened


KINDS: dict[int, type[Exception]] = {
    400: CursorRefused,
    404: CursorRefused,
    410: CursorRefused,
    422: CursorRefused,
    401: Denied,
    403: Denied,
    302: Denied,
    429: Transient,
    500: Transient,
}


@pytest.mark.parametrize("status", KINDS)
def test_a_refusal_is_the_cursors_unless_it_is_the_credentials_or_passes(
    client: Client, api: Simulator, world: World, status: int
) -> None:
    api.add_fault(Fault("status", status=status, times=None))

    with pytest.raises(KINDS[status]) as told:
        client.fetch_page(world.agent_ids()[0], Counts(), cursor="c")

    assert type(told.value) is KINDS[status]


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_without_a_cursor_it_is_the_requests(
    client: Client, api: Simulator, world: World, status: int
) -> None:
    api.add_fault(Fault("status", status=status, times=None))

    with pytest.raises(Denied):
        client.fetch_page(world.agent_ids()[0], Counts())
