"""What an endpoint may rely on, wherever it runs: one set of tests for every server. This part is on messages.

Where stock hypercorn cannot keep a promise, the test asserts what it does keep, and says why.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from tests.net.contract.diary import Diary, serving
from tests.net.echo import Echo
from tests.net.servers import MEBIBYTE, Kind
from wsframework import App, CloseCode, WebSocket, WebSocketEndpoint, WebSocketRoute


@pytest.mark.parametrize(
    "message",
    ["text", b"bytes", "", b"", "ünï ☃ 🎈", "\0", b"\x00\xff", "x" * MEBIBYTE, b"\xaa" * MEBIBYTE],
    ids=["text", "bytes", "no text", "no bytes", "unicode", "nul", "not utf-8", "1 MiB text", "1 MiB bytes"],
)
async def test_echo(kind: Kind, message: str | bytes) -> None:
    """A message comes back as it was, of the same kind, and an empty one is a message."""
    async with kind.running(serving(Echo)) as served, served.connect() as client:
        await client.send(message)
        answer = await client.receive()
    assert type(answer) is type(message)
    assert answer == message


async def test_order(kind: Kind) -> None:
    """Messages that come in one after the other are handled and answered in that order."""
    async with kind.running(serving(Echo)) as served, served.connect() as client:
        for number in range(300):
            await client.send(str(number))
        assert [await client.receive() for _ in range(300)] == [str(number) for number in range(300)]


async def test_json_both_ways(kind: Kind) -> None:
    """An endpoint with a type gets values of it, and answers with values."""

    @attrs.define
    class Point:
        x: int
        y: int

    class Mirror(WebSocketEndpoint):
        encoding = Point

        async def on_receive(self, websocket: WebSocket, data: Point) -> None:
            await websocket.send_json(Point(data.y, data.x))

    async with kind.running(serving(Mirror)) as served, served.connect() as client:
        await client.send_json({"x": 1, "y": 2})
        assert await client.receive_json() == {"x": 2, "y": 1}


async def test_function_endpoint(kind: Kind) -> None:
    """A function iterates over the messages until it returns, which closes with 1000."""

    async def until_bye(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            if text == "bye":
                return
            await websocket.send_text(text)

    async with kind.running(serving(until_bye)) as served, served.connect() as client:
        await client.send("a")
        assert await client.receive() == "a"
        await client.send("bye")
        assert (await client.wait_closed()).code == CloseCode.NORMAL_CLOSURE


# What lives beside the connections


async def test_broadcast(kind: Kind, diary: Diary) -> None:
    """A broadcast reaches every subscriber except those left out; a client that has left has no subscription."""

    class Room(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "room")
            await websocket.send_text("welcome")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await self.hub.broadcast("room", data, exclude=websocket)
            await websocket.send_text("done")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            diary.write("gone", self.hub.statistics().subscribers)

    app = serving(Room)
    async with kind.running(app) as served, served.connect() as ada, served.connect() as grace:
        async with served.connect() as lynn:
            for client in (ada, grace, lynn):
                assert await client.receive() == "welcome"
            await ada.send("hello")
            assert await ada.receive() == "done"
            assert [await client.receive() for client in (grace, lynn)] == ["hello", "hello"]
        assert await diary.wait_for("gone") == ("gone", 2)
        await grace.send("she left")
        assert await grace.receive() == "done"
        assert await ada.receive() == "she left"


async def test_state_of_the_lifespan(kind: Kind) -> None:
    """What the lifespan yields is the state of every connection, its own copy of it."""

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[dict[str, Any]]:
        yield {"greeting": "hello"}

    async def tell(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.greeting)
        websocket.state.greeting = "spoilt"

    app = App(routes=[WebSocketRoute("/", tell)], lifespan=lifespan)
    async with kind.running(app) as served:
        for _ in range(2):
            async with served.connect() as client:
                assert await client.receive() == "hello"
