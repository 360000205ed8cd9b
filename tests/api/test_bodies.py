"""Bodies that are meant to take all memory, over real HTTP: each ends in a sentence or a record."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etl.api.client import Client
from etl.api.credentials.oauth import Grant
from etl.api.rate_limit import RateLimiter
from etl.config import Api, OAuth
from etl.credentials import Credentials
from etl.errors import ApiError, Malformed, Transient
from etl.models import Counts
from etl.simulator import Fault, Simulator, World


@pytest.fixture
def client(api: Simulator) -> Iterator[Client]:
    """Tries twice, without waiting."""
    settings = Api(base_url=api.base_url, timeout=10.0, max_attempts=2)
    limiter = RateLimiter(draw=lambda: 0.0)
    with Client(settings, Credentials("sim-token"), limiter=limiter) as opened:
        yield opened


Fetch = Callable[[Client, World], Any]
FETCHES: dict[str, Fetch] = {
    "list": lambda client, world: client.fetch_page(world.agent_ids()[0], Counts()),
    "records": lambda client, world: list(
        client.each_record(world.agent_ids()[0], "newest", {}, None)
    ),
    "retrieve": lambda client, _: client.fetch_session("x", "a", Counts()),
    "transcript": lambda client, _: client.fetch_transcript("x", Counts()),
    "agents": lambda client, _: client.fetch_agents(None, None, Counts()),
    "teams": lambda client, _: client.fetch_teams(Counts()),
}
BOMBS = [
    Fault("bomb", form="whitespace", megabytes=100, times=None),
    Fault("bomb", form="whitespace", megabytes=100, encoding="gzip, gzip", times=None),
    Fault("bomb", form="whitespace", megabytes=1, encoding="br", times=None),
    Fault("bomb", form="whitespace", megabytes=40, encoding="identity", times=None),
    Fault("bomb", form="brackets", megabytes=1, times=None),
    Fault("garbage", form="texts", times=None),
]


@pytest.mark.parametrize("fetch", FETCHES)
@pytest.mark.parametrize("fault", BOMBS, ids=lambda fault: f"{list(fault.params.values())}")
def test_a_bomb_ends_in_a_sentence_whatever_is_fetched(
    client: Client, api: Simulator, world: World, fault: Fault, fetch: str
) -> None:
    api.add_fault(fault)

    with pytest.raises(Malformed) as caught:
        FETCHES[fetch](client, world)

    assert len(caught.value.message) < 300


SENTENCES = {
    "gzip": "the response is larger than 8 MiB",
    "gzip, gzip": "the response is packed as 'gzip, gzip', not as requested",
}


@pytest.mark.parametrize("encoding", SENTENCES)
def test_the_sentence_names_what_is_wrong(
    client: Client, api: Simulator, world: World, encoding: str
) -> None:
    api.add_fault(Fault("bomb", encoding=encoding, times=None))

    with pytest.raises(Malformed, match=SENTENCES[encoding]):
        FETCHES["list"](client, world)


def test_an_error_keeps_its_status_whatever_its_body_is(
    client: Client, api: Simulator, world: World
) -> None:
    message = "x" * 2**20
    headers = {"Content-Encoding": "br"}
    api.add_fault(Fault("status", status=503, message=message))
    api.add_fault(Fault("status", status=502, headers=headers))

    with pytest.raises(Transient) as caught:
        FETCHES["list"](client, world)

    assert caught.value.status == 502
    assert len(caught.value.message) < 300


RECORDS = {
    "deep": Fault("bomb", form="nested_record", megabytes=1, times=None),
    "long id": Fault("bomb", form="long_id", megabytes=0.1, times=None),
    "a large name": Fault("bomb", form="string", megabytes=5, times=None),
    "tiny records": Fault("bomb", form="tiny_records", megabytes=0.01, times=None),
}


@pytest.mark.parametrize("case", RECORDS)
def test_a_page_with_such_records_is_still_a_page(
    client: Client, api: Simulator, world: World, case: str
) -> None:
    api.add_fault(RECORDS[case])

    page = FETCHES["list"](client, world).content

    assert (len(page.sessions), len(page.rejected)) == {
        "deep": (2, 1),
        "long id": (0, 1),
        "a large name": (1, 0),
        "tiny records": (0, len(page.listed)),
    }[case]


def test_a_packed_body_that_breaks_off_is_tried_again(api: Simulator, world: World) -> None:
    api.add_fault(Fault("garbage", form="html"))
    settings = Api(base_url=api.base_url, max_attempts=2)

    with Client(
        settings, Credentials("sim-token"), limiter=RateLimiter(draw=lambda: 0.0)
    ) as client:
        page = client.fetch_page(world.agent_ids()[0], Counts()).content

    assert len(page.sessions) == 100


OAUTH_BODIES = [
    Fault("bomb", form="whitespace", times=None),
    Fault("bomb", form="whitespace", encoding="gzip, gzip", times=None),
    Fault("bomb", form="whitespace", megabytes=1, encoding="identity", times=None),
    Fault("bomb", form="brackets", megabytes=0.05, times=None),
    Fault("bomb", form="nested_record", megabytes=0.05, times=None),
]


@pytest.mark.parametrize("fault", OAUTH_BODIES, ids=lambda fault: f"{list(fault.params.values())}")
def test_an_oauth_reply_that_is_a_bomb_ends_in_a_sentence(
    api: Simulator, tmp_path: Path, fault: Fault
) -> None:
    file = tmp_path / "refresh"
    file.write_text("sim-refresh\n")
    file.chmod(0o600)
    oauth = OAuth(client_id="c", refresh_token_file=str(file))
    settings = Api(base_url=api.base_url, oauth=oauth)
    api.add_fault(fault)

    with pytest.raises(ApiError) as caught:
        Grant(settings).get_current()

    assert caught.value.message.startswith("renewing the access token: ")
    assert file.read_text() == "sim-refresh\n"


PEAK = """
import resource, sys, threading
from etl.api.client import Client
from etl.config import Api
from etl.credentials import Credentials
from etl.errors import ApiError
from etl.models import Counts

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
settings = Api(base_url=sys.argv[1], max_attempts=1, concurrency=8)
with Client(settings, Credentials("sim-token")) as client:
    def work():
        for fetch in (
            lambda: client.fetch_page("a", Counts()),
            lambda: client.fetch_transcript("x", Counts()),
            lambda: client.fetch_agents(None, None, Counts()),
        ):
            try:
                fetch()
            except ApiError:
                pass
    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
HEAVY = {
    "whitespace": Fault("bomb", form="whitespace", megabytes=100, times=None),
    "twice packed": Fault("bomb", form="string", megabytes=100, encoding="gzip, gzip", times=None),
    "tiny records": Fault("bomb", form="tiny_records", megabytes=7, times=None),
    "a string": Fault("bomb", form="string", megabytes=7, times=None),
    "nesting": Fault("bomb", form="nested_record", megabytes=7, times=None),
}


@pytest.mark.parametrize("case", HEAVY)
def test_eight_bombs_at_once_take_bounded_memory(api: Simulator, case: str) -> None:
    api.add_fault(HEAVY[case])

    done = subprocess.run(
        [sys.executable, "-c", PEAK, api.base_url], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < 900, "megabytes"
