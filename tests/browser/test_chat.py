"""The chat example as people meet it: several of them, each in a browser, with a real server between them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.chromium import PATIENCE
from tests.browser.hosting import EXAMPLES, Hosted, host
from wsframework import CloseCode

try:
    from playwright.sync_api import Page, expect
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

OpenPage = Callable[..., Page]
Picture = Callable[[Page, str], None]

CHAT = EXAMPLES / "chat" / "app.py"


class Server:
    """``wsframework run`` with the chat example. It keeps its port when it is started again."""

    def __init__(self) -> None:
        self.port = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "wsframework", "run", str(CHAT), "--bind", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.stop()
            pytest.fail(f"the server did not say its URL, but {line!r}")
        self.url = found[0]
        port = urlsplit(self.url).port
        assert port is not None
        self.port = port

    def stop(self) -> None:
        with self._process:  # waits, and closes the pipe
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                pytest.fail(f"the server still runs {PATIENCE:.0f} s after it was told to stop")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def open_page(new_page: OpenPage, server: Server) -> OpenPage:
    """A function that opens the chat page as somebody new."""

    def open_page(**options: Any) -> Page:
        page = new_page(**options)
        page.goto(server.url)
        return page

    return open_page


def join(page: Page, name: str, room: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Room", exact=True).fill(room)
    page.get_by_role("button", name="Join").click()
    expect(page.locator("#status")).to_contain_text("Connected")


def say(page: Page, text: str) -> None:
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_label("Message", exact=True).press("Enter")


def said(page: Page, count: int) -> list[tuple[str, str]]:
    """Who said what, from top to bottom, once there are `count` messages."""
    expect(page.locator("#log .message")).to_have_count(count)
    pairs = page.locator("#log .message").evaluate_all(
        "items => items.map(item => [item.dataset.name, item.querySelector('.text').textContent])"
    )
    return [(name, text) for name, text in pairs]


def test_two_people_talk_and_one_leaves(open_page: OpenPage, picture: Picture) -> None:
    """Both see one list of people and one order of messages, and the one who stays sees the other leave."""
    ada = open_page(color_scheme="light", viewport={"width": 1280, "height": 800})
    grace = open_page(color_scheme="dark", viewport={"width": 390, "height": 760})
    picture(ada, "join")
    join(ada, "Ada", "Tea room")
    join(grace, "Grace", "tea-room")
    expect(ada.locator("#people-list .name")).to_have_text(["Ada", "Grace"])
    expect(grace.locator("#people-list .name")).to_have_text(["Ada", "Grace"])

    say(ada, "Has anybody tried the new oolong?")
    said(grace, 1)
    say(grace, "Yes, it is lovely. Let it stand for four minutes at least.")
    say(grace, "And do not let the water boil.")
    said(ada, 3)
    say(ada, "Four minutes, noted.")
    conversation = [
        ("Ada", "Has anybody tried the new oolong?"),
        ("Grace", "Yes, it is lovely. Let it stand for four minutes at least."),
        ("Grace", "And do not let the water boil."),
        ("Ada", "Four minutes, noted."),
    ]
    assert said(ada, 4) == said(grace, 4) == conversation
    expect(ada.locator("#log time").first).to_have_text(re.compile(r"^\d{1,2}:\d\d"))
    expect(ada.locator("#log .message.own .by .name")).to_have_text(["You", "You"])
    expect(grace.locator("#log .message:not(.own) .by .name")).to_have_text(["Ada", "Ada"])

    grace.get_by_label("Message", exact=True).press_sequentially("I")
    expect(ada.locator("#typing")).to_have_text("Grace is typing …")
    picture(ada, "talking-desktop-light")
    picture(grace, "talking-phone-dark")

    for n in range(5):
        say(ada, f"ada {n}")
        say(grace, f"grace {n}")
    burst = said(ada, 14)[4:]
    assert burst == said(grace, 14)[4:]
    for name in ("Ada", "Grace"):
        assert [text for who, text in burst if who == name] == [f"{name.lower()} {n}" for n in range(5)]

    grace.get_by_role("button", name="Leave").click()
    expect(ada.locator("#log .notice").last).to_have_text("Grace left.")
    expect(ada.locator("#people-list .name")).to_have_text(["Ada"])
    expect(ada.locator("#typing")).to_be_empty()


def test_rooms_are_apart_and_names_are_unique(open_page: OpenPage) -> None:
    """A message stays in its room, whose address is the invitation; a name that is taken gets a number."""
    ada, other = open_page(), open_page()
    join(ada, "Ada", "here")
    other.goto(ada.url)
    expect(other.get_by_label("Room", exact=True)).to_have_value("here")
    join(other, "  Ada ", "here")
    expect(ada.locator("#people-list .name")).to_have_text(["Ada", "Ada (2)"])
    other.get_by_role("button", name="Leave").click()
    expect(ada.locator("#log .notice").last).to_have_text("Ada (2) left.")

    join(other, "Ada", "elsewhere")
    expect(other.locator("#people-list .name")).to_have_text(["Ada"])
    say(other, "Hello?")
    assert said(other, 1) == [("Ada", "Hello?")]
    say(ada, "Hello!")
    assert said(ada, 1) == [("Ada", "Hello!")]


def test_markup_stays_text(open_page: OpenPage) -> None:
    """What looks like HTML, in a message or in a name, is shown as it was written and does nothing."""
    ada, eve = open_page(), open_page()
    join(ada, "Ada", "markup")
    join(eve, "<b>Eve</b>", "markup")
    markup = '<img src=x onerror="document.body.remove()">'
    say(eve, markup)
    assert said(ada, 1) == said(eve, 1) == [("<b>Eve</b>", markup)]
    expect(ada.locator("#people-list .name")).to_have_text(["Ada", "<b>Eve</b>"])
    expect(ada.locator("#chat :is(img, b)")).to_have_count(0)


def test_text_that_is_too_long_comes_back(open_page: OpenPage) -> None:
    """Who writes too much is told so and keeps the text; nobody else notices."""
    ada, grace = open_page(), open_page()
    join(ada, "Ada", "long")
    join(grace, "Grace", "long")
    say(ada, "a" * 2001)
    expect(ada.get_by_role("alert")).to_have_text("A message has 1 to 2,000 characters; this one has 2,001.")
    expect(ada.get_by_label("Message", exact=True)).to_have_value("a" * 2001)
    say(ada, "Shorter.")
    assert said(ada, 1) == said(grace, 1) == [("Ada", "Shorter.")]
    expect(ada.locator("#problem")).to_be_hidden()


def test_pages_return_after_a_restart(open_page: OpenPage, server: Server, picture: Picture) -> None:
    """When the server stops, the pages say so, keep what was being written, and are back soon after the server is."""
    ada = open_page(viewport={"width": 1280, "height": 800})
    grace = open_page(color_scheme="dark", viewport={"width": 390, "height": 760})
    join(ada, "Ada", "restart")
    join(grace, "Grace", "restart")
    say(grace, "Is that thunder?")
    said(ada, 1)
    ada.get_by_label("Message", exact=True).fill("It is")
    grace.evaluate(
        "Math.random = () => 15"
    )  # seconds, longer than anybody waits: Grace will press the button, Ada will not

    server.stop()
    for page in (ada, grace):
        expect(page.locator("#status")).to_contain_text("Connection lost, trying again")
        expect(page.get_by_role("status")).to_contain_text("Connection lost")
    ada.get_by_label("Message", exact=True).press("Enter")
    expect(ada.get_by_role("alert")).to_contain_text("Not connected.")
    picture(ada, "lost-desktop-light")
    picture(grace, "lost-phone-dark")

    expect(grace.locator("#status")).to_contain_text(re.compile(r"in 1\d s"))

    server.start()
    grace.get_by_role("button", name="Try now").click()
    for page in (ada, grace):
        expect(page.locator("#status")).to_contain_text("Connected")
        expect(page.locator("#log .notice", has_text="You are back.")).to_have_count(1)
    expect(ada.locator("#problem")).to_be_hidden()
    expect(ada.get_by_label("Message", exact=True)).to_have_value("It is")
    ada.get_by_label("Message", exact=True).press("Enter")
    assert said(ada, 2) == said(grace, 2) == [("Grace", "Is that thunder?"), ("Ada", "It is")]
    picture(grace, "back-phone-dark")


# Coming back. The server is in this process, so that the test can do with it what nobody can from outside.


@pytest.fixture(scope="module")
def hosted() -> Iterator[Hosted]:
    with host("chat/app.py") as hosted:
        yield hosted


def disconnect(hosted: Hosted, room: str, name: str, code: int, reason: str = "") -> None:
    """Have the server close the connections of somebody in a room."""
    [identity] = {
        person.identity for person in hosted.call(hosted.hub.presence, f"people:{room}") if person.data["name"] == name
    }
    assert hosted.call_sync(hosted.hub.disconnect, identity=identity, code=code, reason=reason) == 1


def notices(page: Page) -> list[str]:
    texts: list[str] = page.locator("#log .notice").all_inner_texts()
    return texts


@pytest.mark.parametrize("loss", ["the server disconnects it", "the network breaks", "the browser is offline"])
def test_what_was_missed_comes_once_and_in_order(
    new_page: OpenPage, hosted: Hosted, picture: Picture, loss: str
) -> None:
    """A page that was away shows all that others said meanwhile, and to them it never left."""
    room = loss.replace(" ", "-")
    ada, grace = new_page(), new_page(color_scheme="dark", viewport={"width": 390, "height": 760})
    with hosted.network() as network:
        ada.goto(hosted.url)
        grace.goto(network.url)
        join(ada, "Ada", room)
        join(grace, "Grace", room)
        hosted.set_grace(f"people:{room}", 600)
        say(ada, "one")
        said(grace, 1)
        grace.evaluate("Math.random = () => 1000")  # times a second: it does not come back by itself

        if loss == "the server disconnects it":
            disconnect(hosted, room, "Grace", CloseCode.SERVICE_RESTART)
        elif loss == "the network breaks":
            network.cut()
        else:
            grace.context.set_offline(True)
        expect(grace.locator("#status")).to_contain_text("Connection lost, trying again in")
        for text in ("two", "three", "four"):
            say(ada, text)
        said(ada, 4)
        assert [text for _, text in said(grace, 1)] == ["one"]

        if loss == "the browser is offline":
            grace.context.set_offline(False)  # and the page notices
        else:
            if loss == "the network breaks":
                network.mend()
            grace.get_by_role("button", name="Try now").click()
        expect(grace.locator("#log .notice").last).to_have_text("You are back. Nothing is missing.")
        say(ada, "five")
        words = ["one", "two", "three", "four", "five"]
        assert said(grace, 5) == said(ada, 5) == [("Ada", text) for text in words]
        assert notices(ada) == ["You joined as Ada.", "Grace joined."]
        picture(grace, f"chat-back-{room}")


def test_what_is_not_kept_any_more_is_said_to_be_missing(new_page: OpenPage, hosted: Hosted, picture: Picture) -> None:
    """When more was said than is remembered, the page shows none of it as if it were all, and says so."""
    ada, grace = new_page(), new_page()
    for page in (ada, grace):
        page.goto(hosted.url)
    join(ada, "Ada", "short")
    join(grace, "Grace", "short")
    say(ada, "one")
    said(grace, 1)
    grace.evaluate("Math.random = () => 1000")
    disconnect(hosted, "short", "Grace", CloseCode.TRY_AGAIN_LATER)
    expect(grace.locator("#status")).to_contain_text("Connection lost")

    async def say_a_lot() -> None:
        for n in range(101):  # one more than is remembered
            await hosted.hub.broadcast("talk:short", hosted.module.Message("Ada", f"{n}", "", 0))

    hosted.call(say_a_lot)
    said(ada, 102)
    grace.get_by_role("button", name="Try now").click()
    expect(grace.locator("#log .notice").last).to_contain_text("You are back. Messages from the")
    expect(grace.locator("#log .notice").last).to_contain_text("you were away may be missing.")
    say(ada, "six")
    assert said(grace, 2) == [("Ada", "one"), ("Ada", "six")]
    picture(grace, "chat-cut")


def test_what_was_being_sent_is_not_lost_and_not_doubled(new_page: OpenPage, hosted: Hosted) -> None:
    """What had arrived when the connection broke is shown; what had not is there to be sent again."""
    ada = new_page()
    ada.goto(hosted.url)
    join(ada, "Ada", "sending")
    say(ada, "first")
    said(ada, 1)
    ada.evaluate("Math.random = () => 1000")
    for arrives in (True, False):
        # The connection breaks with the next message: behind it, or before it.
        ada.evaluate(
            """arrives => {
                const send = WebSocket.prototype.send;
                WebSocket.prototype.send = function (message) {
                    if (!message.includes('"say"')) return send.call(this, message);
                    WebSocket.prototype.send = send;
                    this.onmessage = null;  // the answer is lost too
                    if (arrives) this.send(message);
                    setTimeout(() => this.onclose({code: 1006, reason: ""}));
                };
            }""",
            arrives,
        )
        say(ada, f"{arrives}")
        expect(ada.get_by_role("alert")).to_have_text(f"Not confirmed yet: “{arrives}”")
        ada.get_by_role("button", name="Try now").click()
        expect(ada.locator("#log .notice", has_text="You are back.")).to_have_count(1 if arrives else 2)
        expect(ada.get_by_role("alert")).to_be_hidden()
    assert said(ada, 2) == [("Ada", "first"), ("Ada", "True")]
    expect(ada.get_by_label("Message", exact=True)).to_have_value("False")


def test_a_reload_is_no_leave_and_join(new_page: OpenPage, hosted: Hosted) -> None:
    """Who reloads the page is still there for the others, has its name, and sees what was said before."""
    ada, grace = new_page(), new_page()
    for page in (ada, grace):
        page.goto(hosted.url)
    join(ada, "Ada", "reload")
    join(grace, "Grace", "reload")
    hosted.set_grace("people:reload", 600)
    say(grace, "before")
    said(ada, 1)
    grace.reload()
    expect(grace.locator("#people-list .name")).to_have_text(["Ada", "Grace"])
    assert said(grace, 1) == [("Grace", "before")]
    say(grace, "after")
    said(ada, 2)
    assert notices(ada) == ["You joined as Ada.", "Grace joined."]


def test_a_final_close_code_ends_it(new_page: OpenPage, hosted: Hosted, picture: Picture) -> None:
    """Who is sent away is told why, and stays away until it presses the button."""
    ada = new_page()
    ada.goto(hosted.url)
    join(ada, "Ada", "away")
    say(ada, "Is anybody here?")
    said(ada, 1)
    disconnect(hosted, "away", "Ada", CloseCode.POLICY_VIOLATION, "that was enough")
    expect(ada.locator("#status")).to_contain_text("Disconnected: that was enough")
    picture(ada, "chat-stopped")
    ada.get_by_role("button", name="Connect again").click()
    expect(ada.locator("#log .notice").last).to_have_text("You are back. Nothing is missing.")
