"""The pages of the items and the authentication example, in a browser, with a real server."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.cli import command

try:
    from playwright.sync_api import Page, expect
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)


@pytest.fixture
def page(new_page: Callable[..., Page]) -> Page:
    return new_page()


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
