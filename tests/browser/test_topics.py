"""The module that pages subscribe with, in a browser whose WebSockets, clock and dice are the test's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

try:
    from playwright.sync_api import Page, Route
except ImportError:
    if os.environ.get("WSFRAMEWORK_REQUIRE_ALL") == "1":
        raise
    pytest.skip("playwright is not installed", allow_module_level=True)

FILES = {
    "/page": "<title>a page</title>",
    "/topics.js": (Path(__file__).parents[2] / "examples" / "browser" / "topics.js").read_text("utf-8"),
    "/sockets.js": (Path(__file__).parent / "sockets.js").read_text("utf-8"),
}

# A page that notes what it is told.
PAGE = """async () => {
    const { Topics, isFinal } = await import("/topics.js");
    Object.assign(window, { Topics, isFinal, dice: 0.5, told: [] });
    Math.random = () => window.dice;
    const note = (...what) => told.push(JSON.parse(JSON.stringify(what)));
    window.notes = {
        publication: (data, position) => note("publication", data instanceof Uint8Array ? [...data] : data, position),
        gap: (count) => note("gap", count),
        presence: (event, members, everybody) => note("presence", event, members, [...everybody]),
        subscribed: (how) => note("subscribed", how),
    };
    window.states = [];
    window.connect = (options) => {
        const status = ({ retryAt, ...status }) =>
            states.push(retryAt === undefined ? status : { ...status, retryAt: retryAt - Date.now() });
        const message = (message) => note("message", message);
        window.topics = new Topics("live?who=ada", { status, message, ...options });
    };
}"""


class World:
    """One page, and everything around it."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def run(self, script: str) -> Any:
        return self._page.evaluate(f"() => {{ {script} }}")

    def connect(self, options: str = "{}", topics: tuple[str, ...] = ("news",)) -> None:
        """Connect and subscribe."""
        names = ", ".join(f"window['{topic}'] = topics.subscribe('{topic}', notes)" for topic in topics)
        self.run(f"connect({options}); {names};")
        self.run("sockets.at(-1).open()")

    def receive(self, *messages: dict[str, Any]) -> None:
        self._page.evaluate("messages => sockets.at(-1).receive(...messages)", list(messages))

    def lose(self, code: int = 1006) -> None:
        self.run(f"sockets.at(-1).lose({code}, 'why')")

    def pass_time(self, milliseconds: int) -> None:
        self._page.clock.run_for(milliseconds)

    def told(self) -> list[Any]:
        """What handlers were told since this was asked the last time."""
        told: list[Any] = self.run("return told.splice(0)")
        return told

    def states(self) -> list[Any]:
        """What the connection has become since this was asked the last time."""
        states: list[Any] = self.run("return states.splice(0)")
        return states

    def sent(self) -> list[Any]:
        """What the page has sent over its newest socket."""
        sent: list[Any] = self.run("return sockets.at(-1).sent")
        return sent

    @property
    def sockets(self) -> int:
        count: int = self.run("return sockets.length")
        return count

    def fire(self, target: str, event: str) -> None:
        self.run(f"{target}.dispatchEvent(new Event('{event}'))")


@pytest.fixture
def world(new_page: Callable[..., Page]) -> World:
    page = new_page()

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix("http://example.test")
        kind = "text/javascript" if path.endswith(".js") else "text/html"
        route.fulfill(body=FILES[path], content_type=kind)

    page.route("http://example.test/**", answer)
    page.clock.install(time=0)
    page.goto("http://example.test/page")
    page.clock.pause_at(1_000)
    page.add_script_tag(url="/sockets.js")
    page.evaluate(PAGE)
    return World(page)


def publication(offset: int, data: Any = "x", topic: str = "news", epoch: str = "e") -> dict[str, Any]:
    return {"topic": topic, "epoch": epoch, "offset": offset, "data": data}


def subscribed(offset: int, recovered: bool = False, topic: str = "news", epoch: str = "e") -> dict[str, Any]:
    return {"topic": topic, "epoch": epoch, "offset": offset, "recovered": recovered}


def test_it_connects_and_subscribes(world: World) -> None:
    """The URL is resolved as a link would be; what was subscribed to before and after the opening is asked for once."""
    world.run("connect(); topics.subscribe('news', notes)")
    assert world.run("return sockets.at(-1).url") == "ws://example.test/live?who=ada"
    assert world.sent() == []
    world.run("sockets.at(-1).open()")
    world.run("topics.subscribe('sports', notes)")
    assert world.sent() == [{"type": "subscribe", "topic": "news"}, {"type": "subscribe", "topic": "sports"}]
    assert world.states() == [{"state": "connecting"}, {"state": "connected"}]


def test_what_comes_goes_to_its_topic(world: World) -> None:
    """Publications, bytes, gaps and answers reach their topic's handlers; what has no topic, the page's."""
    world.connect()
    world.receive(
        publication(7, {"any": "JSON"}),
        {"topic": "news", "epoch": "e", "offset": 8, "base64": "AP8="},
        {"topic": "news", "epoch": "e", "offset": 8, "gap": 2},
        {"topic": "news", "epoch": "e", "offset": 8, "gap": None},
        subscribed(10),
        publication(1, topic="unknown"),
        {"type": "welcome"},
    )
    assert world.told() == [
        ["publication", {"any": "JSON"}, {"epoch": "e", "offset": 7}],
        ["publication", [0, 255], {"epoch": "e", "offset": 8}],
        ["gap", 2],
        ["gap", None],
        ["subscribed", {"recovered": False, "again": False}],
        ["message", {"type": "welcome"}],
    ]


def test_it_resumes_each_topic_where_it_was(world: World) -> None:
    """After a reconnect each topic is asked for from the last publication, or the answer, or the gap that it had."""
    world.connect(topics=("news", "sports", "weather", "empty"))
    world.receive(
        publication(7),
        subscribed(9, topic="sports"),
        publication(3, topic="weather"),
        {"topic": "weather", "epoch": "e", "offset": 3, "gap": 5},
    )
    world.lose()
    world.pass_time(500)
    world.run("sockets.at(-1).open()")
    assert world.sent() == [
        {"type": "subscribe", "topic": "news", "since": {"epoch": "e", "offset": 7}},
        {"type": "subscribe", "topic": "sports", "since": {"epoch": "e", "offset": 9}},
        {"type": "subscribe", "topic": "weather", "since": {"epoch": "e", "offset": 8}},
        {"type": "subscribe", "topic": "empty"},
    ]


def test_a_position_goes_back_only_with_a_new_epoch(world: World) -> None:
    """Conflated publications may come in another order; another life of the topic begins to count anew."""
    world.connect()
    world.receive(publication(7), publication(5), subscribed(6))
    assert world.run("return news.position") == {"epoch": "e", "offset": 7}
    world.receive(publication(1, epoch="f"))
    assert world.run("return news.position") == {"epoch": "f", "offset": 1}


def test_the_page_is_told_whether_anything_is_missing(world: World) -> None:
    """A second answer is "again", and says whether everything was recovered; a gap without a count comes before."""
    world.connect()
    world.receive(subscribed(4))
    world.told()
    for recovered in (True, False):
        world.lose()
        world.pass_time(1_000)
        world.run("sockets.at(-1).open()")
        if not recovered:
            world.receive({"topic": "news", "epoch": "e", "offset": 5, "gap": None})
        world.receive(subscribed(5 if recovered else 1, recovered, epoch="e" if recovered else "f"))
    assert world.told() == [
        ["subscribed", {"recovered": True, "again": True}],
        ["gap", None],
        ["subscribed", {"recovered": False, "again": True}],
    ]
    assert world.run("return news.position") == {"epoch": "f", "offset": 1}


def test_presence(world: World) -> None:
    """The members are kept by identity: everybody first, then who comes, changes and goes."""

    def presence(event: str, **data: int) -> dict[str, Any]:
        members = [{"identity": identity, "data": datum} for identity, datum in data.items()]
        return {"topic": "news", "presence": event, "members": members}

    world.connect()
    world.receive(presence("here", ada=1), presence("join", bob=2), presence("update", ada=3), presence("leave", bob=2))
    assert [(event, everybody) for _, event, _, everybody in world.told()] == [
        ("here", [["ada", 1]]),
        ("join", [["ada", 1], ["bob", 2]]),
        ("update", [["ada", 3], ["bob", 2]]),
        ("leave", [["ada", 3]]),
    ]
    world.receive(presence("here", eve=4))
    assert world.run("return [...news.members]") == [["eve", 4]]


def test_waits_are_random_below_a_limit_that_doubles(world: World) -> None:
    """Full jitter: each wait is between nothing and the limit, which ends at the cap; and the page knows the time."""
    world.connect("{ base: 100, cap: 1000 }")
    world.states()
    for dice, waits in ((0.999, [99, 199, 399, 799, 999, 999]), (0.5, [500]), (0.25, [250])):
        world.run(f"dice = {dice}")
        for wait in waits:
            count = world.sockets
            world.lose(1006)
            waiting = world.states()[-1]
            assert waiting.pop("retryAt") == pytest.approx(wait, abs=1)
            assert waiting == {"state": "waiting", "code": 1006, "reason": "why"}
            world.pass_time(wait - 2)
            assert world.sockets == count
            world.pass_time(3)
            assert world.sockets == count + 1
    world.run("dice = 0")
    world.lose()
    world.pass_time(1)
    assert world.states()[-1] == {"state": "connecting"}


def test_waits_start_small_again_after_a_steady_connection(world: World) -> None:
    """A connection that is opened and lost at once counts as a failure; one that has lived for a while does not."""
    world.connect("{ base: 100, cap: 10000 }")
    for lived, wait in ((0, 50), (0, 100), (4_000, 200), (6_000, 50), (0, 100)):
        world.run("sockets.at(-1).open()")
        world.pass_time(lived)
        world.lose()
        assert world.states()[-1]["retryAt"] == wait
        world.pass_time(wait)


def test_codes_that_pass(world: World) -> None:
    """The page comes back after 1001, 1005, 1006 and 1011 to 1015."""
    world.connect()
    world.run("dice = 0")
    for code in (1001, 1005, 1006, 1011, 1012, 1013, 1014, 1015):
        count = world.sockets
        world.lose(code)
        assert world.states()[-1]["state"] == "waiting"
        world.pass_time(1)
        assert world.sockets == count + 1
        world.run("sockets.at(-1).open()")


def test_codes_that_are_final(world: World) -> None:
    """The page is told and stays away, also when it is looked at again; until somebody says `retry`."""
    world.connect()
    for code in (1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 4001, 4999):
        count = world.sockets
        world.lose(code)
        assert world.states()[-1] == {"state": "stopped", "code": code, "reason": "why"}
        for target, event in (("window", "online"), ("document", "visibilitychange")):
            world.fire(target, event)
        world.pass_time(100_000)
        assert world.sockets == count
        world.run("topics.retry(); topics.retry()")
        assert world.sockets == count + 1
        world.run("sockets.at(-1).open()")


def test_the_page_decides_what_is_final(world: World) -> None:
    """Who knows the server's codes can say so."""
    world.connect("{ final: (code) => code !== 4001 && isFinal(code) }")
    world.lose(4001)
    assert world.states()[-1]["state"] == "waiting"


@pytest.mark.parametrize(("target", "event"), [("window", "online"), ("document", "visibilitychange")])
def test_it_does_not_wait_when_there_is_hope(world: World, target: str, event: str) -> None:
    """The network is back, or somebody looks at the page: the next attempt is now, and there is one."""
    world.connect()
    world.fire(target, event)
    assert world.sockets == 1  # nothing was wrong
    world.lose()
    world.fire(target, event)
    world.fire(target, event)
    assert world.sockets == 2
    world.run("sockets.at(-1).open()")
    world.pass_time(100_000)
    assert world.sockets == 2


def test_a_hidden_page_waits(world: World) -> None:
    """Becoming hidden is no reason to hurry, nor to leave."""
    world.connect()
    world.run("Object.defineProperty(document, 'hidden', { value: true })")
    world.fire("document", "visibilitychange")
    assert world.states()[-1] == {"state": "connected"}
    world.lose()
    world.fire("document", "visibilitychange")
    assert world.sockets == 1
    world.pass_time(500)
    assert world.sockets == 2


def test_offline_gives_the_connection_up(world: World) -> None:
    """It may look alive for minutes, and what it still says would come twice; attempts go on, for localhost's sake."""
    world.connect()
    world.fire("window", "offline")
    assert world.states()[-1]["state"] == "waiting"
    assert world.run("return sockets[0].closedWith") == 1000
    world.run("sockets[0].receive({ topic: 'news', epoch: 'e', offset: 1, data: 'late' })")
    world.run("sockets[0].lose()")
    assert world.told() == []
    world.fire("window", "offline")
    world.pass_time(500)
    assert world.sockets == 2
    assert world.states() == [{"state": "connecting"}]


def test_a_server_that_does_not_answer_is_given_up(world: World) -> None:
    """An attempt has ten seconds."""
    world.run("connect()")
    world.pass_time(9_999)
    assert world.states() == [{"state": "connecting"}]
    world.pass_time(1)
    assert world.states()[-1]["state"] == "waiting"
    assert world.run("return sockets[0].closedWith") == 1000


def test_sending(world: World) -> None:
    """Without a connection nothing is sent, not even later, and the page is told so."""
    world.run("connect()")
    assert world.run("return topics.send({ a: 1 })") is False
    world.run("sockets.at(-1).open()")
    assert world.run("return topics.send({ a: 2 })") is True
    world.lose()
    assert world.run("return topics.send({ a: 3 })") is False
    world.pass_time(500)
    assert world.sent() == []
    assert world.run("return sockets[0].sent") == [{"a": 2}]


def test_unsubscribing(world: World) -> None:
    """The server is told once, what was on its way is ignored, and a reconnect does not ask for it."""
    world.connect(topics=("news", "sports"))
    world.run("news.unsubscribe(); news.unsubscribe()")
    assert world.sent()[2:] == [{"type": "unsubscribe", "topic": "news"}]
    world.receive(publication(1))
    assert world.told() == []
    world.lose()
    world.pass_time(500)
    world.run("sockets.at(-1).open()")
    assert world.sent() == [{"type": "subscribe", "topic": "sports"}]


def test_closing(world: World) -> None:
    """A page that leaves says 1000 and does not come back, whatever happens."""
    world.connect()
    world.run("topics.close(); topics.retry()")
    assert world.run("return sockets[0].closedWith") == 1000
    world.fire("window", "online")
    world.pass_time(100_000)
    assert world.sockets == 1
    world.run("connect(); topics.close()")
    world.run("connect()")
    world.lose()
    world.run("topics.close()")
    world.pass_time(100_000)
    assert world.sockets == 2  # the one that was closed before it began never connected
