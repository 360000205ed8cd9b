"""The lists of one state: bounded if the filter is ignored, and checked as every list is."""

import json
from base64 import b64decode
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from etl.planning.run_demand import RunOptions
from etl.simulator import Fault, Traits
from tests.sync.lab import BACKFILL, SYNC, Lab

DAY = 86_400.0


def state_requests(lab: Lab) -> int:
    return sum("state=" in one.query for one in lab.api.requests)


@pytest.fixture
def history(lab: Lab) -> list[str]:
    """Four hundred sessions that are stored, the newest two days old."""
    ids = lab.spread(400, ago=2 * DAY)
    assert lab.run(BACKFILL).status == "succeeded"
    lab.api.clear_requests()
    return ids


# -- 10: a server that ignores the filter -------------------------------------------------------


@pytest.mark.parametrize("walkers", [None, 1])
def test_a_filter_that_is_ignored_costs_a_few_requests(
    lab: Lab, history: list[str], walkers: int | None
) -> None:
    lab.api.adopt(Traits(ignores_state=True))
    for _ in range(2):
        lab.api.clear_requests()

        report = lab.run(replace(SYNC, walkers=walkers))

        assert (report.status, lab.wrong()) == ("succeeded", [])
        assert state_requests(lab) <= 2
        assert sum("state" in warning for warning in report.warnings) == 1


@pytest.mark.parametrize("state", ["processing", "queued", "idle", "approval_required"])
def test_open_sessions_are_retrieved_where_the_filter_is_ignored(lab: Lab, state: str) -> None:
    ids = lab.spread(150, ago=5 * 3600)
    some = ids[10:140:20]
    for id in some:
        lab.world.change(id, state=state)
    lab.api.adopt(Traits(ignores_state=True))
    assert lab.run(SYNC).status == "succeeded"
    for id in some:
        lab.world.change(id, state="completed", usage={"credit_cost": 7.5})

    report = lab.run(SYNC)

    assert report.status == "succeeded"
    assert [one for one in lab.wrong() if "credit_cost" in one or "state" in one] == []


def test_an_ignored_filter_whose_first_page_happens_to_fit_is_noticed_later(lab: Lab) -> None:
    ids = lab.spread(400, ago=2 * DAY)
    lab.run(BACKFILL)
    for id in ids[:12]:
        lab.world.change(id, state="processing")
    lab.api.adopt(Traits(ignores_state=True))
    lab.api.clear_requests()

    report = lab.run(SYNC)

    assert report.status == "succeeded"
    assert state_requests(lab) <= 5
    assert [one for one in lab.wrong() if "state" in one] == []


# -- 11: the lists are cut short ---------------------------------------------------------------

BREAKS = (
    ("empty_page", {}),
    ("error_200", {}),
    ("missing_sessions", {}),
    ("null_cursor", {}),
    ("repeat_cursor", {}),
    ("ignore_cursor", {}),
    ("garbage", {"form": "empty_object"}),
    ("status", {"status": 500}),
)


@pytest.fixture
def reopened(lab: Lab, history: list[str]) -> list[str]:
    """Thirty-five of them are processing again, which only the list of that state tells."""
    some = history[5:355:10]
    for id in some:
        lab.world.reopen(id)
    return some


@pytest.mark.parametrize(("kind", "params"), BREAKS, ids=[kind for kind, _ in BREAKS])
@pytest.mark.parametrize("times", [1, None])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_state_list_that_breaks_off_is_no_success(
    lab: Lab, reopened: list[str], kind: str, params: dict[str, object], times: int, after: int
) -> None:
    fault = Fault(kind, path="page_size=10.*state=processing", times=times, after=after, **params)
    lab.api.add_fault(fault)

    report = lab.run(SYNC)

    if report.status == "succeeded":
        assert lab.wrong() == []
    else:
        assert report.status in ("incomplete", "failed")
    lab.api.clear_faults()

    again = lab.run(SYNC)

    assert (again.status, lab.wrong()) == ("succeeded", [])


@pytest.mark.parametrize("most", [1, 5, 10])
def test_a_state_list_that_ends_early_is_no_success(
    lab: Lab, reopened: list[str], most: int
) -> None:
    lab.api.adopt(Traits(state_rows=most))

    report = lab.run(SYNC)

    assert report.status == "incomplete"
    assert report.error
    assert "open sessions" in report.error


@pytest.mark.parametrize("times", [2, 3])
def test_a_cursor_that_a_state_list_refuses_once_in_a_while_fails_nothing(
    lab: Lab, reopened: list[str], times: int
) -> None:
    fault = Fault("refuse_cursor", path="state=processing", times=1, after=times)
    lab.api.add_fault(fault)

    report = lab.run(RunOptions())

    assert (report.status, report.error) == ("succeeded", None)
    assert lab.wrong() == []


# -- Several on one page of all sessions ----------------------------------------------------------


BELOW = 60
"""Of the eighty, so many at least are older than `lookback`: a sync doesn't pass them."""


@pytest.fixture
def changed(lab: Lab) -> list[str]:
    """Eighty of four hundred sessions were open when they were stored, and have ended since."""
    ids = lab.spread(400, ago=5 * 3600)[::5]
    for id in ids:
        lab.world.change(id, state="idle")
    assert lab.run(BACKFILL).status == "succeeded"
    for id in ids:
        lab.world.change(id, state="completed", usage={"credit_cost": 7.5})
    lab.api.clear_requests()
    return ids


def retrieves(lab: Lab) -> int:
    return sum(not one.path.endswith("/sessions") for one in lab.api.requests)


def test_pages_that_show_several_take_the_place_of_retrieves(lab: Lab, changed: list[str]) -> None:
    assert lab.run().status == "succeeded"

    assert lab.wrong() == []
    assert retrieves(lab) <= 1, "one may be left alone"
    assert len(lab.api.requests) <= len(changed) / 2 + 10


@pytest.mark.parametrize("treatment", ["refuse", "first_page"])
def test_where_no_built_cursor_is_followed_one_request_tells(
    lab: Lab, changed: list[str], treatment: str
) -> None:
    lab.api.adopt(Traits(foreign_cursor=treatment))

    assert lab.run().status == "succeeded"

    assert lab.wrong() == []
    assert retrieves(lab) >= BELOW
    assert built(lab) == 1
    for id in changed:
        lab.world.change(id, state="idle")
    assert lab.run().status == "succeeded"
    assert built(lab) == 1


def test_without_seek_each_is_retrieved(lab: Lab, changed: list[str]) -> None:
    assert lab.run(replace(SYNC, seek=False)).status == "succeeded"

    assert lab.wrong() == []
    assert retrieves(lab) >= BELOW
    assert built(lab) == 0


def built(lab: Lab) -> int:
    """Requests whose cursor the server has not issued: that has more than a `sort_value`."""
    cursors = (parse_qs(one.query).get("cursor", [""])[0] for one in lab.api.requests)
    return sum(set(json.loads(b64decode(text))) == {"sort_value"} for text in cursors if text)


def test_a_page_of_all_sessions_accuses_no_list_of_omitting_what_it_has_shown(lab: Lab) -> None:
    """Two that can't be listed are read by a page that shows a listed one, too."""
    ids = lab.spread(100)
    for id in ids[80:83]:
        lab.world.change(id, state="approval_required")
    lab.world.change(ids[81], state="processing")
    lab.run(BACKFILL)
    lab.api.clear_requests()

    report = lab.run()

    assert built(lab)
    assert retrieves(lab) == 0
    assert (report.status, report.warnings) == ("succeeded", [])


def test_a_sync_shares_its_lookback_out_by_its_stored_rows(lab: Lab) -> None:
    """They fill a twelfth of it: half of the time is not half of the rows."""
    lab.spread(300, every=1, ago=10)
    lab.run(BACKFILL)
    lab.api.clear_requests()
    # Without it one walk may have read most of it before the others begin.
    lab.api.latency = 0.05

    assert lab.run().status == "succeeded"

    assert lab.wrong() == []
    assert built(lab) > 2
