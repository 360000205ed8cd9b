"""`make pictures`: docs/images, from a simulated account in a real browser."""

import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from etl.analytics.report.load_figures import load_figures
from etl.analytics.report.page import render
from etl.store.store import Store
from tests.report import scene
from tests.report.conftest import FLAGS, chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SHOTS = {
    "report.png": {"color_scheme": "light", "viewport": {"width": 1280, "height": 800}},
    "report-dark.png": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
    "report-phone.png": {"color_scheme": "light", "viewport": {"width": 390, "height": 1040}},
}


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory(prefix="etl-pictures-") as folder:
        file = Path(folder) / "report.html"
        database = Path(folder) / "scene.db"
        options = scene.options(
            scene.play(database, (2600, 1900, 1200, 800, 450, 260, 120), hours=72)
        )
        store = Store(f"sqlite:///{database}", lambda: options.now)
        file.write_text(render(load_figures(store, options)), encoding="utf-8")
        store.close()
        with sync_playwright() as playwright:
            args = FLAGS.split()
            browser = playwright.chromium.launch(executable_path=chromium(), args=args)
            for name in SHOTS:
                _shoot(browser, file, name)
            browser.close()


def _shoot(browser: Browser, file: Path, name: str) -> None:
    context = browser.new_context(**SHOTS[name], offline=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-drawn]", state="attached")
    if name == "report-dark.png":
        page.locator("#outcome").evaluate("e => scrollTo(0, e.getBoundingClientRect().top - 24)")
    IMAGES.mkdir(exist_ok=True)
    page.screenshot(path=IMAGES / name)
    context.close()
    print(f"{name}: {(IMAGES / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
