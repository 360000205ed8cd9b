"""The end of a walk, where a page of the list's other end came beforehand."""

from typing import Any, cast

import pytest

from etl.api.client import Client, Fetched
from etl.models import BEGINNING, Listed, Page
from etl.planning.coverage import Gap
from etl.planning.walks.plan import HEAD
from etl.planning.walks.walk import Walk
from etl.sync.walks.one_walk import PageSource
from tests.planning import at


def page(*seconds: int) -> Page:
    return Page([], [], [], [Listed(f"s{second}", at(second)) for second in seconds])


class OldestFirst:
    """Answers every request with one page, and counts them."""

    def __init__(self, answer: Page) -> None:
        self.answer = answer
        self.requests = 0

    def fetch_page(self, *_: object, **__: object) -> Fetched:
        self.requests += 1
        return Fetched(self.answer, at(100))


@pytest.mark.parametrize(("early", "requests"), [(page(3, 5, 9), 0), (page(), 1), (page(5, 9), 0)])
def test_an_early_page_of_the_other_end_spares_a_request_unless_the_list_has_changed(
    early: Page, requests: int
) -> None:
    walk, client = Walk(HEAD, Gap(BEGINNING, at(50))), OldestFirst(page(3))
    walk.advance(page(9, 5, 3).listed, None, at(60))
    # Rows of this walk are saved already: an empty list alone would contradict them.
    source = PageSource(
        cast(Client, cast(Any, client)),
        "agent",
        tail_page=lambda: early,
        confirm_empty=lambda _: False,
    )

    source.confirm_end(walk)

    assert client.requests == requests
