"""The pages of the items and the authentication example, in a browser, with a real server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.cli import command

try:
    from playwright.sync_api import Browser, Page, expect, sync_playwright
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

# The first makes it run as root, as in a container; the others keep it from looking for company on the network.
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=10_000)


@pytest.fixture(scope="module")
def browser(require: Callable[..., str]) -> Iterator[Browser]:
    chromium = require("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of somebody new; a mistake in its script fails the test."""
    mistakes: list[object] = []
    context = browser.new_context()
    page = context.new_page()
    page.on("pageerror", lambda mistake: mistakes.append(mistake))
    yield page
    context.close()
    assert not mistakes


def test_items(page: Page) -> None:
    """With a token the page connects and shows the answers; without one it says that it was refused."""
    with command.serve("examples/items/app.py", "--bind", "127.0.0.1:0") as served:
        page.goto(served.url)
        page.get_by_label("Item").fill("a cup & saucer")
        page.get_by_label("Token").fill("T1")
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("#status")).to_have_text("Connected.")
        for text in ("one", "two"):
            page.get_by_label("Message").fill(text)
            page.get_by_role("button", name="Send").click()
        expect(page.locator("#answers li")).to_have_text(
            [
                "Your session or token is: T1",
                "You said about item a cup & saucer: one",
                "Your session or token is: T1",
                "You said about item a cup & saucer: two",
            ]
        )

        page.get_by_label("Token").fill("")
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("#status")).to_have_text("The server refused the connection.")
        expect(page.get_by_role("button", name="Send")).to_be_disabled()

        page.context.add_cookies([{"name": "session", "value": "C1", "url": served.url}])
        page.get_by_role("button", name="Connect").click()
        expect(page.locator("#status")).to_have_text("Connected.")
        page.get_by_label("Message").fill("three")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#answers li").nth(4)).to_have_text("Your session or token is: C1")


def test_authentication(page: Page) -> None:
    """The page logs in, offers its token as a subprotocol, and the browser agrees on the real one."""
    with command.serve("examples/authentication/app.py", "--bind", "127.0.0.1:0") as served:
        page.goto(served.url)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#status")).to_have_text("Wrong name or password")
        page.get_by_label("Password").fill("lovelace")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("#status")).to_have_text('Logged in as ada, speaking "notes".')
        page.get_by_label("Note").fill("buy tea")
        page.get_by_role("button", name="Add").click()
        expect(page.locator("#notes li")).to_have_text(["ada: buy tea"])
