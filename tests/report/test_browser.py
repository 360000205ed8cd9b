"""The page in a real browser: drawn, silent, harmless, readable, and usable without a mouse."""

import re
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page
from sqlalchemy import insert

from etl.analytics.report.load_figures import load_figures
from etl.analytics.report.page import render
from etl.store.schema import tables as t
from etl.store.store import Store
from tests.report.conftest import Opener
from tests.report.filling import HOUR, NOW, fill, options, session

CHARTS = {"sessions", "credits", "states", "failures", "agents", "week"}
BOMB = "<img src=x onerror=alert(1)>"
BREAKOUT = f"</script></style></bdi><script>alert(2)</script>{{{{7*7}}}}&lt;'\"{BOMB}<!--"
ENDLESS = "Ж" * 100_000

INK = "() => [...document.querySelectorAll('h1, h2, p, td, th, dt, dd, summary, li')]"
COLOURS = f"""{INK}.filter(e => e.innerText).map(e => getComputedStyle(e).color)"""
LABELS = "() => [...document.querySelectorAll('.canvas text')].map(e => getComputedStyle(e).fill)"


# -- drawn, and silent -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_is_drawn_and_nothing_is_asked_for(
    show: Opener, lived: str, scheme: str
) -> None:
    shown = show(lived, scheme=scheme)
    marks = shown.page.eval_on_selector_all(
        "[data-chart]",
        "all => all.map(e => [e.dataset.chart, e.querySelectorAll('svg .mark-rect path,"
        " svg .mark-symbol path').length])",
    )

    assert dict(marks).keys() == CHARTS
    assert [id for id, count in marks if not count] == []
    assert shown.said == []
    assert shown.asked == [shown.page.url]


def test_a_chart_has_a_mark_for_each_figure_of_its_table(show: Opener, lived: str) -> None:
    page = show(lived).page
    bars = page.locator("[data-chart=week] .mark-rect path")
    cells = page.locator("figure:has([data-chart=week]) tbody td")

    assert (bars.count(), cells.count()) == (168, 168)
    counted = _numbers(page, "figure:has([data-chart=week]) tbody td")
    told = _numbers(page, "dl.tiles .value")[0]
    total = _numbers(page, "figure:has([data-chart=sessions]) tbody td:last-child")
    assert sum(counted) == sum(total) == told > 0


def test_a_window_that_narrows_is_drawn_anew(show: Opener, lived: str) -> None:
    page = show(lived).page

    page.set_viewport_size({"width": 360, "height": 700})

    page.wait_for_function("document.querySelector('.canvas svg').clientWidth <= 340")
    assert _overflow(page) == []


def test_an_empty_database_has_a_page(show: Opener, store: Store) -> None:
    html = render(load_figures(store, options()))

    assert "No session began in this range" in html
    assert "nothing has been synced" in html
    assert "<script" not in html


# -- harmless ----------------------------------------------------------------------------------


def hostile(store: Store) -> str:
    """The page of a database in which every text is an attack."""
    ids = [f"{BOMB}{number}" for number in range(8)] + [BREAKOUT, ENDLESS]
    people = [{"id": BREAKOUT, "first_name": BOMB, "last_name": BREAKOUT, "email": BOMB}]
    rows = [
        session(f"{text} {n}", id, name=text, state=state, creator_id=BREAKOUT, credit_cost=n + 1)
        for n, id in enumerate(ids)
        for text, state in ((BOMB, "failed"), (BREAKOUT, BOMB), (ENDLESS, "completed"))
    ]
    looks = [(rows[0]["id"], BREAKOUT, NOW - HOUR), (rows[0]["id"], "failed", NOW)]
    fill(store, rows, {id: id for id in ids[:-1]}, people, looks)
    run = {"agent_id": BREAKOUT, "mode": "incremental", "status": "failed", "error": BREAKOUT}
    with store.engine.begin() as connection:
        connection.execute(insert(t.sync_runs).values(run | {"started_at": NOW}))
    return render(load_figures(store, options(*ids)))


def test_names_are_text_whatever_they_are(show: Opener, store: Store) -> None:
    shown = show(hostile(store))
    page = shown.page
    # The first two agents have other names; each has three states.
    page.locator("[data-chart=states] .mark-rect path").nth(6).hover(force=True)
    page.locator("#vg-tooltip-element.visible").get_by_text("<img").first.wait_for()

    assert page.locator("img, iframe, object, a:not(.skip)").count() == 0
    assert page.locator("script").count() == 3
    assert page.get_by_text(BOMB, exact=True).count() > 5
    assert "{{7*7}}" in page.locator("bdi", has_text="7*7").first.inner_text()
    page.set_viewport_size({"width": 360, "height": 700})
    assert _overflow(page) == []
    assert shown.said == []
    assert shown.asked == [page.url]


def test_the_policy_forbids_what_got_in_all_the_same(show: Opener, lived: str) -> None:
    """Markup that no template wrote: as if the escaping had failed."""
    holed = lived.replace("<main", f"{BOMB}<script>alert(3)</script><main", 1)

    shown = show(holed)

    assert shown.said
    assert all("Content Security Policy" in text for text in shown.said), shown.said
    assert shown.failed == ["csp"]


# -- readable ----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_is_wider_than_the_screen(show: Opener, lived: str, width: int) -> None:
    page = show(lived, width).page
    for summary in page.locator("summary").all():
        summary.click()

    assert _overflow(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_paper(show: Opener, lived: str, scheme: str) -> None:
    page = show(lived, scheme=scheme).page
    paper = _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    inks = {*page.evaluate(COLOURS), *page.evaluate(LABELS)}

    assert (paper < 0.5) == (scheme == "dark")
    assert {ink for ink in inks if _contrast(_luminance(ink), paper) < 4.5} == set()
    assert len(inks) == 3


# -- without a mouse, and without eyes ---------------------------------------------------------


def test_the_keyboard_reaches_every_table(show: Opener, lived: str) -> None:
    page = show(lived).page

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in CHARTS:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('role')") == "region"
        assert page.evaluate("document.activeElement.querySelector('table').checkVisibility()")


def test_a_screen_reader_is_told_what_a_chart_shows(show: Opener, lived: str) -> None:
    page = show(lived, 360).page

    pictures = page.locator(".canvas[role=img]")
    spoken = pictures.evaluate_all(
        "all => all.map(e => ['labelledby', 'describedby'].map("
        "a => document.getElementById(e.getAttribute('aria-' + a)).innerText))"
    )
    assert len(spoken) == len(CHARTS)
    assert all(title and summary for title, summary in spoken)
    assert "graphics" not in page.locator("body").aria_snapshot()
    # Chromium forgets tables that CSS lays out as blocks, unless they name their roles.
    assert page.get_by_role("table").count() >= 6
    assert page.get_by_role("table").last.get_by_role("columnheader").count() > 3


def test_headings_leave_out_no_level(show: Opener, lived: str) -> None:
    page = show(lived).page
    found = page.eval_on_selector_all("h1, h2, h3, h4", "all => all.map(e => +e.tagName[1])")

    assert found[0] == 1
    assert found.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(found))


def _overflow(page: Page) -> list[Any]:
    """Elements that reach over the right edge, but for those in a box that scrolls or hides."""
    inside = ".scroll > *, .unseen, thead, #vg-tooltip-element"
    return page.evaluate(
        "inside => [document.documentElement, ...document.body.querySelectorAll('*')]"
        ".filter(e => Math.max(e.scrollWidth, e.getBoundingClientRect().right) > innerWidth + 1)"
        ".filter(e => !e.closest(inside) && e.checkVisibility() && getComputedStyle(e).overflowX"
        " === 'visible')"
        ".map(e => [e.tagName, e.className, e.scrollWidth])",
        inside,
    )


def _numbers(page: Page, selector: str) -> list[int]:
    texts = page.eval_on_selector_all(selector, "all => all.map(e => e.textContent)")
    return [int(text.replace(",", "")) for text in texts if re.fullmatch(r"[\d,]+", text)]


def _luminance(colour: str) -> float:
    """The relative luminance of the WCAG."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
