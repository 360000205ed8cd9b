"""Fixtures: a real browser, and pages opened in it without any network."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from etl.analytics.report.load_figures import ReportOptions, load_figures
from etl.analytics.report.page import render
from etl.store.store import Store
from tests.report import scene
from tests.support.waiting import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run"
    " --disable-background-networking --disable-sync"
)


@dataclass
class Opened:
    """A page in a browser, and everything that it said or asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failed: list[str | None] = field(default_factory=list)


Opener = Callable[..., Opened]


def chromium() -> str | None:
    """Where a browser is, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser(lived: str) -> Iterator[Browser]:
    """Chromium, as `make test` installs it.

    Playwright holds this thread's event loop, which the simulator wants too: so that page is made
    before, and the browser is gone before other tests begin.
    """
    found = chromium()
    if found is None:
        pytest.skip("there is no Chromium: `make extras` as root on Debian installs it")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=FLAGS.split())
        yield running
        running.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens a page of HTML, offline, and waits until its charts are drawn."""
    contexts: list[BrowserContext] = []

    def opened(html: str, width: int = 1280, scheme: str = "light") -> Opened:
        file = tmp_path / "report.html"
        file.write_text(html, encoding="utf-8")
        view = {"width": width, "height": 800}
        context = browser.new_context(viewport=view, color_scheme=scheme, offline=True)  # type: ignore[arg-type]
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        shown = Opened(context.new_page())
        shown.page.on("console", lambda message: shown.said.append(message.text))
        shown.page.on("pageerror", lambda error: shown.said.append(str(error)))
        shown.page.on("dialog", lambda dialog: shown.said.append(dialog.message))
        context.on("request", lambda request: shown.asked.append(request.url))
        context.on("requestfailed", lambda request: shown.failed.append(request.failure))
        shown.page.goto(file.as_uri())
        shown.page.wait_for_selector("html[data-drawn]", state="attached")
        return shown

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def lived() -> Iterator[str]:
    """The page of a database that was synced for days."""
    with tempfile.TemporaryDirectory(prefix="etl-report-") as folder:
        file = Path(folder) / "lived.db"
        options = scene.options(scene.play(file, (160, 90, 40), hours=6))
        yield page(Store(f"sqlite:///{file}", lambda: options.now), options)


def page(store: Store, options: ReportOptions) -> str:
    """The page of a database, which is closed then."""
    try:
        return render(load_figures(store, options))
    finally:
        store.close()
