"""Made comparisons for the tests of the report, and a browser for those that look at it."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path: their neighbours are not a package

from made_runs import METHODS, made

from optwise.report import page

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")


@pytest.fixture(scope="session")
def comparison():
    """Protocol, runs, document: five methods, six studies of sixteen trials, four seeds, some diverged."""
    return made()


@pytest.fixture(scope="session")
def shown(comparison):
    """The page of it."""
    protocol, runs, document = comparison
    return page(document, protocol, runs)


@pytest.fixture(scope="session")
def small():
    """The same with two methods and two studies."""
    return made({name: METHODS[name] for name in ("sgd", "adamw")}, studies=2, trials=4)


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window; where there is none, the tests that need it say so and are skipped."""
    from playwright.sync_api import sync_playwright

    program = next((found for found in map(shutil.which, PROGRAMS) if found), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(PROGRAMS)} is on the path")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page at a width; afterwards nothing may have been said, thrown or asked for."""
    heard, contexts = [], []

    def open_page(text, width=1400, *, dark=False):
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: heard.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        fetched = ("data:", "blob:")
        tab.on(
            "request",
            lambda request: (
                request.url in (path.as_uri(), f"{path.as_uri()}#")
                or request.url.startswith(fetched)
                or heard.append(f"request: {request.url}")
            ),
        )
        tab.set_default_timeout(120_000)  # of a machine with other work
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-charts=drawn]", state="attached")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []
