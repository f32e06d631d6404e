"""What the tests with a browser share.

Set WSFRAMEWORK_SCREENSHOTS to a folder to get pictures of what the tests saw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.chromium import CHROMIUM_FLAGS, PATIENCE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


@pytest.fixture(scope="module")
def browser(require: Callable[..., str]) -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright  # which test modules skip themselves without

    expect.set_options(timeout=PATIENCE * 1000)
    chromium = require("chromium", "chromium-browser", "google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """A function that makes somebody new; its arguments are those of `Browser.new_context`.

    A mistake in the script of any of their pages fails the test.
    """
    contexts: list[BrowserContext] = []
    mistakes: list[Any] = []

    def new_context(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        context.on("weberror", lambda mistake: mistakes.append(mistake.error))
        contexts.append(context)
        return context

    yield new_context
    for context in contexts:
        context.close()
    assert not mistakes


@pytest.fixture
def new_page(new_context: Callable[..., BrowserContext]) -> Callable[..., Page]:
    """A function that opens an empty page as somebody new."""
    return lambda **options: new_context(**options).new_page()


@pytest.fixture
def picture() -> Callable[[Page, str], None]:
    """A function that takes a picture of a page, if pictures are wanted."""

    def picture(page: Page, name: str) -> None:
        if folder := os.environ.get("WSFRAMEWORK_SCREENSHOTS"):
            page.screenshot(path=Path(folder) / f"{name}.png", animations="disabled")

    return picture
