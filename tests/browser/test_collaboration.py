"""The collaboration example: several people at one board."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.hosting import Hosted, host

try:
    from playwright.sync_api import BrowserContext, Page, WebSocket, expect
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

NewContext = Callable[..., BrowserContext]
Picture = Callable[[Page, str], None]


@pytest.fixture
def hosted() -> Iterator[Hosted]:
    with host("collaboration/app.py") as hosted:
        yield hosted


def enter(context: BrowserContext, url: str, name: str) -> Page:
    """Open the board as somebody with this name."""
    context.add_cookies([{"name": "name", "value": name, "url": url}])
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#status .words")).to_have_text("Connected")
    expect(page.get_by_label("Your name")).to_have_value(name)
    return page


def expect_people(page: Page, *names: str) -> None:
    expect(page.locator("#people .name")).to_have_text(list(names), use_inner_text=False)


def add_note(page: Page, text: str) -> None:
    count = page.locator(".note").count()
    page.get_by_role("button", name="Add a note").click()
    expect(page.locator(".note")).to_have_count(count + 1)
    page.locator(".note textarea").last.fill(text)


def expect_texts(page: Page, *texts: str) -> None:
    expect(page.locator(".note")).to_have_count(len(texts))
    for area, text in zip(page.locator(".note textarea").all(), texts, strict=True):
        expect(area).to_have_value(text)


def places(page: Page) -> dict[str, str]:
    """Where the notes are."""
    return dict(
        page.locator(".note").evaluate_all("notes => notes.map(note => [note.dataset.id, note.style.translate])")
    )


def on_board(page: Page, x: float, y: float) -> str:
    """A place on the screen as one on the board."""
    left, top = page.evaluate(
        "(({left, top}) => [left, top])(document.getElementById('board').getBoundingClientRect())"
    )
    return f"{round(x - left)}px {round(y - top)}px"


def test_two_people_at_one_board(new_context: NewContext, hosted: Hosted, picture: Picture) -> None:
    """Each sees the other's notes, cursor and choice, with the other's name; and both boards are the same."""
    ada = enter(new_context(viewport={"width": 1200, "height": 760}), hosted.url, "Ada")
    picture(ada, "board-empty")
    grace = enter(new_context(viewport={"width": 1200, "height": 760}, color_scheme="dark"), hosted.url, "Grace")
    for page in (ada, grace):
        expect_people(page, "Ada", "Grace")

    add_note(ada, "Buy tea")
    expect_texts(grace, "Buy tea")
    add_note(grace, "Boil water")
    expect_texts(ada, "Buy tea", "Boil water")
    expect(ada.locator(".note.chosen .chosen-by")).to_have_text("Grace")
    expect(grace.locator(".note.chosen .chosen-by")).to_have_text("Ada")

    handle = grace.locator(".note .move").last
    box = handle.bounding_box()
    assert box is not None
    grace.mouse.move(box["x"] + 5, box["y"] + 5)
    grace.mouse.down()
    grace.mouse.move(box["x"] + 305, box["y"] + 205, steps=5)
    grace.mouse.up()
    grace.mouse.move(box["x"] + 405, box["y"] + 105, steps=3)
    expect(ada.locator(".cursor span")).to_have_text("Grace")
    expect(ada.locator(".cursor")).to_have_css("translate", on_board(grace, box["x"] + 405, box["y"] + 105))
    expect(ada.locator(".note").last).to_have_css("translate", "545px 240px")
    assert places(ada) == places(grace)
    ada.mouse.move(300, 400)
    expect(grace.locator(".cursor span")).to_have_text("Ada")
    picture(ada, "board-light")
    picture(grace, "board-dark")

    ada.locator(".note .move").first.press("ArrowRight")
    expect(grace.locator(".note").first).to_have_css("translate", "50px 40px")
    ada.get_by_label("Remove this note").first.click()
    expect_texts(grace, "Boil water")
    ada.get_by_label("Your name").fill("Ada L.")
    ada.get_by_label("Your name").press("Enter")
    expect_people(grace, "Ada L.", "Grace")


def watch_presence(page: Page) -> list[tuple[str, list[str]]]:
    """Note who comes and goes, as the page is told from its next loading on."""
    told: list[tuple[str, list[str]]] = []

    def note(payload: str | bytes) -> None:
        message: dict[str, Any] = json.loads(payload)
        if "presence" in message:
            told.append((message["presence"], [member["data"]["name"] for member in message["members"]]))

    def listen(websocket: WebSocket) -> None:
        websocket.on("framereceived", note)

    page.on("websocket", listen)
    return told


def test_a_person_is_one_and_stays_one(new_context: NewContext, hosted: Hosted, picture: Picture) -> None:
    """Two tabs are one person, a reload is no leave and join, and who has gone is gone after a while."""
    watcher = new_context(viewport={"width": 390, "height": 760}).new_page()
    told = watch_presence(watcher)
    watcher.goto(hosted.url)
    expect(watcher.locator("#people li")).to_have_count(1)
    hosted.set_grace("board", 600)
    context = new_context()
    ada = enter(context, hosted.url, "Ada")
    expect(watcher.locator("#people li")).to_have_count(2)
    del told[:]

    second = enter(context, hosted.url, "Ada")
    expect(second.locator("#people li")).to_have_count(2)
    second.mouse.move(200, 300)
    expect(watcher.locator(".cursor")).to_have_count(1)
    second.close()
    ada.reload()
    expect(ada.locator("#status .words")).to_have_text("Connected")
    add_note(ada, "I was here all the time")
    expect_texts(watcher, "I was here all the time")
    expect(watcher.locator(".note.chosen .chosen-by")).to_have_text("Ada")
    picture(watcher, "board-narrow")
    assert {event for event, _ in told} == {"update"}

    hosted.set_grace("board", 0.1)
    context.close()
    expect(watcher.locator("#people li")).to_have_count(1)
    expect(watcher.locator(".cursor")).to_have_count(0)
    assert [event for event in told if event[0] != "update"] == [("leave", ["Ada"])]


def test_what_was_changed_while_away_comes_together(new_context: NewContext, hosted: Hosted, picture: Picture) -> None:
    """A page that is cut off can go on; when it is back, all boards are the same, and nothing is lost."""
    with hosted.network() as network:
        ada = enter(new_context(), hosted.url, "Ada")
        grace = enter(new_context(), network.url, "Grace")
        for text in ("one", "two"):
            add_note(ada, text)
        expect_texts(grace, "one", "two")
        grace.evaluate("Math.random = () => 1000")
        network.cut()
        expect(grace.locator("#status")).to_contain_text("Connection lost")

        ada.locator(".note textarea").first.fill("one, by Ada")
        grace.locator(".note textarea").last.fill("two, by Grace")
        add_note(ada, "three")
        add_note(grace, "four")
        ada.get_by_label("Your name").focus()  # this changes nothing of what is there
        picture(grace, "board-lost")
        network.mend()
        grace.get_by_role("button", name="Try now").click()
        expect(grace.locator(".note")).to_have_count(4)
        expect(ada.locator(".note")).to_have_count(4)
        for page in (ada, grace):
            for text in ("one, by Ada", "two, by Grace", "three", "four"):
                page.wait_for_function(
                    "text => [...document.querySelectorAll('textarea')].some(area => area.value === text)", arg=text
                )
        assert places(ada) == places(grace)
