"""The body of a request over HTTP/2, in memory: what an application receives, and how long it waits for more."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from h2.errors import ErrorCodes
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Mount
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.net.http2.client import HTTP2Client, HTTP2Stream
from tests.server.http.http2.serving import serving
from wsframework import App, Limits
from wsframework.server.http.http2.body import RequestBody

LIMITS = Limits(body_timeout=20)


def part(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Side:
    """A body, and what its two callbacks were told."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.late = 0
        self.body = RequestBody(self.taken.append, self._give_up, 20)

    async def _give_up(self) -> None:
        self.late += 1
        await self.body.put({"type": "http.disconnect"})


async def test_parts_are_joined_and_the_end_is_told() -> None:
    """What has come is received at once, and given back to the window; the end comes behind it."""
    side = Side()
    for piece in (b"a", b"bc"):
        await side.body.put(part(piece))
    await side.body.put(part(b"", more=False))
    assert await side.body.receive() == part(b"abc")
    assert side.taken == [3]
    assert await side.body.receive() == part(b"", more=False)


async def test_a_body_that_stops_coming(autojump_clock: MockClock) -> None:
    """Who waits for more of it waits for this long, and then gets a disconnect."""
    side = Side()
    await side.body.put(part(b"a"))
    await trio.sleep(100)  # it is nobody's silence while nobody waits
    assert await side.body.receive() == part(b"a")
    began = trio.current_time()
    assert await side.body.receive() == {"type": "http.disconnect"}
    assert (trio.current_time() - began, side.late) == (20, 1)


async def test_a_body_that_comes_slowly(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Each part that comes in time is the beginning of a new silence."""
    side = Side()

    async def send() -> None:
        for _ in range(10):
            await trio.sleep(19)
            await side.body.put(part(b"a"))

    nursery.start_soon(send)
    for _ in range(10):
        assert await side.body.receive() == part(b"a")
    assert side.late == 0


async def test_a_client_may_stay_behind_its_body(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """Who waits for a disconnect when all has come waits without a deadline."""
    side = Side()
    await side.body.put(part(b"", more=False))
    assert await side.body.receive() == part(b"", more=False)
    with trio.move_on_after(1000) as patience:
        await side.body.receive()
    assert (patience.cancelled_caught, side.late) == (True, 0)


# With hypercorn around it


class Watched:
    """An application that reads bodies. ``left`` is what it was told of clients that do not send them."""

    def __init__(self) -> None:
        self.left: list[str] = []
        self.app = App(routes=[Mount("/echo", self.echo)])
        self.app.route("/size", methods=["POST"])(self.size)
        self.app.route("/page")(self.page)

    async def size(self, request: Request) -> str:
        try:
            return str(len(await request.body()))
        except ClientDisconnect:
            self.left.append("size")
            raise

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (event := await receive())["type"] == "http.request":
            await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
        self.left.append("echo")

    async def page(self, request: Request) -> str:
        return "a page"


async def post(client: HTTP2Client, path: str) -> HTTP2Stream:
    fields = [(":method", "POST"), (":authority", "localhost"), (":scheme", "https"), (":path", path)]
    return await client.request(fields, end=False)


@pytest.mark.parametrize("sent", [b"", b"the beginning of it"])
async def test_408(autojump_clock: MockClock, sent: bytes) -> None:
    """The client is told, its stream ends, the route hears of it, and the connection serves on."""
    watched = Watched()
    async with serving(watched.app, LIMITS) as client:
        stream = await post(client, "/size")
        if sent:
            await stream.send(sent)
        began = trio.current_time()
        assert await stream.receive_status() == "408"
        assert trio.current_time() - began == LIMITS.body_timeout
        assert await stream.receive_all() == b"The body of the request did not arrive in time.\n"
        while stream.reset is None:
            await stream.wait_for_news()
        await wait_all_tasks_blocked()
        assert (stream.reset, watched.left) == (ErrorCodes.NO_ERROR, ["size"])
        assert await client.get("/page") == ("200", b"a page")
        other = await post(client, "/size")
        await other.send(b"all of it", end=True)
        assert await other.receive_all() == b"9"


async def test_a_body_that_is_being_answered(autojump_clock: MockClock) -> None:
    """There can be no other status any more: the stream is reset, so that nobody takes the answer for whole."""
    watched = Watched()
    async with serving(watched.app, LIMITS) as client:
        stream = await post(client, "/echo/")
        await stream.send(b"one")
        assert await stream.receive(3) == b"one"
        assert await stream.receive_all() == b""
        await wait_all_tasks_blocked()
        assert (stream.headers[":status"], stream.reset, watched.left) == ("200", ErrorCodes.CANCEL, ["echo"])
        assert await client.get("/page") == ("200", b"a page")


async def test_an_idle_connection_ends_behind_it(autojump_clock: MockClock) -> None:
    """A stream that was given up keeps nothing open: the connection is as idle as one without it."""
    async with serving(Watched().app, LIMITS) as client:
        await (await post(client, "/size")).receive_all()
        await client.ended.wait()
        assert trio.current_time() < 2 * LIMITS.body_timeout
