"""The ticker example on a quick and on a slow link at once."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.browser.chromium import PATIENCE
from tests.browser.hosting import host, load

try:
    from playwright.sync_api import Page, expect
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

Picture = Callable[[Page, str], None]


def newest(page: Page) -> dict[str, int]:
    """The number of the price that a page shows of each name."""
    cards = page.locator(".card").evaluate_all("cards => cards.map(({dataset}) => [dataset.name, +dataset.number])")
    return dict(cards)


def prices(page: Page) -> list[tuple[str, str]]:
    names, shown = page.locator(".card h2").all_inner_texts(), page.locator(".card .price").all_inner_texts()
    return sorted(zip(names, shown, strict=True))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_slow_link_shows_the_newest_price(new_page: Callable[..., Page], picture: Picture) -> None:
    """The slow page skips, and ends with the prices of the quick one, which got all; little waits for it meanwhile."""
    slow_link = partial(load("ticker/slow.py").pass_on, 15_000)
    number = 1

    async def trade(rounds: int) -> None:
        nonlocal number
        for _ in range(rounds):
            number += 1
            for name in hosted.module.PRICES:
                price = hosted.module.Price(name, 50 + 10 * math.sin(number / 20 + len(name)), number)
                await hosted.hub.broadcast("prices", price, key=name)

    # The market has one round. From then on it is the test that trades.
    with host("ticker/app.py", INTERVAL=math.inf) as hosted, hosted.network(slow_link) as network:
        names = len(hosted.module.PRICES)
        quick, slow = new_page(), new_page(color_scheme="dark", viewport={"width": 390, "height": 844})
        quick.goto(hosted.url)
        slow.goto(network.url)
        for page in (quick, slow):
            expect(page.locator(".card")).to_have_count(names)

        # As much at a time as a quick link takes at once, and more only when the quick page shows it.
        most = 0
        for _ in range(100):
            hosted.call(trade, 30)
            wait_for(lambda: set(newest(quick).values()) == {number})
            statistics = hosted.call_sync(hosted.hub.statistics, "prices")
            most = max(most, statistics.waiting)
            if statistics.conflated > 1_000:
                break
        picture(quick, "ticker-quick")
        assert most == names

        wait_for(lambda: newest(slow) == newest(quick))
        picture(slow, "ticker-slow")
        expect(slow.locator("#skipped")).not_to_have_text("0")
        expect(quick.locator("#skipped")).to_have_text("0")
        expect(quick.locator("#received")).to_have_text(f"{number * names:,}")
        assert prices(slow) == prices(quick)
        statistics = hosted.call_sync(hosted.hub.statistics, "prices")
        assert (statistics.behind, statistics.waiting) == (0, 0)


def test_it_goes_on_after_a_loss(new_page: Callable[..., Page], picture: Picture) -> None:
    """The page says that its prices are old, comes back, and counts what it did not get."""
    page = new_page(viewport={"width": 1100, "height": 760})
    with host("ticker/app.py") as hosted, hosted.network() as network:
        page.goto(network.url)
        expect(page.locator(".card")).to_have_count(len(hosted.module.PRICES))
        page.evaluate("Math.random = () => 1000")
        network.cut()
        expect(page.locator("#status")).to_contain_text("Connection lost")
        before = max(newest(page).values())
        picture(page, "ticker-lost")
        network.mend()
        page.get_by_role("button", name="Try now").click()
        wait_for(lambda: min(newest(page).values()) > before + 10)
        expect(page.locator("#status .words")).to_have_text("Connected")
        expect(page.locator("#skipped")).not_to_have_text("0")
