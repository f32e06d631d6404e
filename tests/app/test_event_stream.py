"""A topic as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.rooms import assert_empty
from wsframework import App, EventStream, History, Hub, Overflow


class Browser:
    """Opens a stream as a server passes it on, and reads what comes."""

    def __init__(self) -> None:
        self.start: MutableMapping[str, Any] = {}
        self.body = b""
        self.ended = False
        self.fails = False
        self._asked = False
        self._may_read = trio.Event()
        self._may_read.set()
        self._left = trio.Event()

    def leave(self) -> None:
        self._left.set()

    def stall(self) -> None:
        self._may_read = trio.Event()

    def resume(self) -> None:
        self._may_read.set()

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request"}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: MutableMapping[str, Any]) -> None:
        await self._may_read.wait()
        await trio.lowlevel.checkpoint()
        if self.fails:
            raise OSError("the client has left")
        if event["type"] == "http.response.start":
            self.start = event
        else:
            self.body += event["body"]
            self.ended = not event.get("more_body")

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.start["headers"])

    @property
    def events(self) -> list[str]:
        """What came, each event without its id."""
        whole = self.body.decode().removesuffix("\n\n")
        events = whole.split("\n\n") if whole else []
        return ["\n".join(line for line in event.split("\n") if not line.startswith("id: ")) for event in events]


@asynccontextmanager
async def browse(app: App, path: str = "/events", method: str = "GET", last: str = "") -> AsyncIterator[Browser]:
    browser = Browser()
    headers = [(b"last-event-id", last.encode())] if last else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app, scope, browser.receive, browser.send)
        await wait_all_tasks_blocked()
        yield browser
        browser.leave()
        browser.resume()
        with trio.fail_after(1):
            await wait_all_tasks_blocked()
            assert not nursery.child_tasks


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[App]:
    app = App(hub=Hub(**options))
    async with app.hub.running():
        yield app
    assert_empty(app.hub)


async def test_a_topic_as_events(autojump_clock: MockClock) -> None:
    """Text and JSON as data, line by line, binary data in base64, and comments while nothing happens."""
    async with running() as app:
        app.event_stream("/events", "news")
        async with browse(app) as browser:
            assert browser.start["status"] == 200
            assert browser.headers[b"content-type"].startswith(b"text/event-stream")
            assert browser.headers[b"cache-control"] == b"no-store"
            assert b"content-length" not in browser.headers
            for data in ({"a": [1]}, "one\ntwo\r\nthree\rfour", "", b"\x00\xff"):
                await app.hub.broadcast("news", data)
            await trio.sleep(16)
            assert browser.events == [
                'data: {"a":[1]}',
                "data: one\ndata: two\ndata: three\ndata: four",
                "data: ",
                "event: binary\ndata: AP8=",
                ": still here",
            ]
            assert app.hub.statistics().subscribers == 1
        assert app.hub.statistics().subscribers == 0


async def test_a_browser_that_comes_back_gets_what_it_missed(autojump_clock: MockClock) -> None:
    """It sends the id of its last event; what cannot be recovered is told as a gap."""
    async with running(history=History(size=3)) as app:
        app.event_stream("/events", "news", latest=True)
        async with browse(app) as browser:
            await app.hub.broadcast("news", "1")
            await wait_all_tasks_blocked()
            last = browser.body.decode().partition("\n")[0].removeprefix("id: ")
        await app.hub.broadcast("news", "2")
        await app.hub.broadcast("news", "3")
        async with browse(app, last=last) as browser:
            assert browser.events == ["data: 2", "data: 3"]
        async with browse(app) as browser:
            assert browser.events == ["data: 3"]
        for wrong in ("nonsense", "other:1", "x" * 9999):
            async with browse(app, last=wrong) as browser:
                assert browser.events == ["event: gap\ndata: null", "data: 3"]


async def test_a_browser_that_is_new(autojump_clock: MockClock) -> None:
    """It gets what is published from then on, unless the stream begins with the latest."""
    async with running(history=History(size=3)) as app:
        app.event_stream("/events", "news")
        await app.hub.broadcast("news", "1")
        async with browse(app) as browser:
            assert browser.events == []
            await app.hub.broadcast("news", "2")
            await wait_all_tasks_blocked()
            assert browser.events == ["data: 2"]


async def test_bytes_that_wait_for_a_slow_browser(autojump_clock: MockClock) -> None:
    """They are bounded as their number is."""
    async with running() as app:
        app.event_stream("/events", "news", max_bytes=1000, overflow=Overflow.DROP_OLDEST)
        async with browse(app) as browser:
            browser.stall()
            for number in range(9):
                await app.hub.broadcast("news", str(number) * 400)
                await wait_all_tasks_blocked()
            browser.resume()
            await wait_all_tasks_blocked()
            assert [event[:18] for event in browser.events] == [
                "data: 000000000000",
                "data: 111111111111",
                "event: gap\ndata: 5",
                "data: 777777777777",
                "data: 888888888888",
            ]


@pytest.mark.parametrize(
    ("overflow", "events"),
    [
        (Overflow.DROP_OLDEST, ["data: 0", "data: 1", "event: gap\ndata: 5", "data: 7", "data: 8"]),
        (Overflow.LATEST, ["data: 0", "data: 1", "data: 8"]),
        (Overflow.DISCONNECT, ["data: 0", "data: 1"]),
    ],
)
@pytest.mark.parametrize("hubs", [True, False], ids=["the hub's", "its own"])
async def test_a_slow_browser_meets_its_policy(
    overflow: Overflow, events: list[str], hubs: bool, autojump_clock: MockClock
) -> None:
    """It is told of gaps, gets the newest, or is disconnected and comes back by itself."""
    options: dict[str, Any] = {"overflow": overflow, "capacity": 2}
    async with running(**options if hubs else {}) as app:
        app.event_stream("/events", "news", **({} if hubs else options))
        async with browse(app, last="epoch:1" if overflow is Overflow.LATEST else "") as browser:
            browser.stall()
            for number in range(9):
                await app.hub.broadcast("news", str(number))
                await wait_all_tasks_blocked()
            browser.resume()
            await wait_all_tasks_blocked()
            assert browser.events == events
            assert browser.ended == (overflow is Overflow.DISCONNECT)


async def test_a_route_of_the_program_decides(autojump_clock: MockClock) -> None:
    """EventStream is a response like any other, so a route chooses the topic and who may have it."""
    async with running() as app:

        @app.route("/rooms/{room}")
        async def stream(request: Request) -> EventStream:
            if request.path_params["room"] == "secret":
                raise HTTPException(403)
            return EventStream(app.hub, f"room:{request.path_params['room']}")

        async with browse(app, "/rooms/7") as browser, browse(app, "/rooms/secret") as refused:
            await app.hub.broadcast("room:7", "hello")
            await wait_all_tasks_blocked()
            assert browser.events == ["data: hello"]
            assert refused.start["status"] == 403


async def test_how_a_stream_ends(autojump_clock: MockClock) -> None:
    """With the hub, after what was published before; or when the server says that the client has left."""
    app = App()
    app.event_stream("/events", "news")
    async with trio.open_nursery() as nursery:
        browser, broken = Browser(), Browser()
        async with app.hub.running():
            for each in (browser, broken):
                scope = {"type": "http", "method": "GET", "path": "/events", "headers": [], "query_string": b""}
                nursery.start_soon(app, scope, each.receive, each.send)
            await wait_all_tasks_blocked()
            broken.fails = True
            await app.hub.broadcast("news", "1")
            await wait_all_tasks_blocked()
            assert app.hub.statistics().subscribers == 1
            app.hub.broadcast_nowait("news", "2")
    assert browser.events == ["data: 1", "data: 2"]
    assert browser.ended
    assert_empty(app.hub)


async def test_a_head_request_has_no_stream(autojump_clock: MockClock) -> None:
    """Only the head is answered, and nothing is subscribed."""
    async with running() as app:
        app.event_stream("/events", "news")
        async with browse(app, method="HEAD") as browser:
            assert browser.start["status"] == 200
            assert browser.ended
            assert app.hub.statistics().subscribers == 0


def test_a_ping_interval_is_a_time() -> None:
    """Nothing and less are mistakes."""
    with pytest.raises(ValueError, match="ping_interval"):
        EventStream(Hub(), "news", ping_interval=0)
