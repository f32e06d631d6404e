"""The hub under a server that is not ours: the plain ASGI triple, and a send that waits for the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.rooms import Room, assert_empty, numbers
from wsframework import CloseCode, History, Position, WebSocket, WebSocketDisconnect


class ForeignClient:
    """A client as another server shows it to the application."""

    def __init__(self) -> None:
        self.events: list[MutableMapping[str, Any]] = []
        self._say, self._hear = trio.open_memory_channel[MutableMapping[str, Any]](100)
        self._may_read = trio.Event()
        self._may_read.set()
        self._takes = 0
        self.say({"type": "websocket.connect"})

    def say(self, event: MutableMapping[str, Any]) -> None:
        self._say.send_nowait(event)

    async def receive(self) -> MutableMapping[str, Any]:
        return await self._hear.receive()

    async def send(self, event: MutableMapping[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        await self._may_read.wait()
        self.events.append(event)
        if self._takes:
            self.take(self._takes - 1)

    def stall(self) -> None:
        self._may_read = trio.Event()

    def resume(self) -> None:
        self._takes = 0
        self._may_read.set()

    def take(self, number: int) -> None:
        """Take so many events, and stall."""
        self._takes = number
        if number:
            self._may_read.set()
        else:
            self.stall()

    @property
    def got(self) -> list[str]:
        return [event["text"] for event in self.events if event["type"] == "websocket.send"]


@asynccontextmanager
async def serve(room: Room, *names: str) -> AsyncIterator[list[tuple[ForeignClient, WebSocket]]]:
    """Have clients of these names joined to the topic "news"; they leave at the end."""
    async with room.hub.running(), trio.open_nursery() as nursery:
        joined = []
        for name in names:
            client = ForeignClient()
            scope = {"type": "websocket", "path": f"/{name}", "headers": [], "query_string": b""}
            nursery.start_soon(room.app, scope, client.receive, client.send)
            await wait_all_tasks_blocked()
            websocket = room._websockets[name]
            await room.hub.subscribe(websocket, "news")
            joined.append((client, websocket))
        yield joined
        for client, _ in joined:
            client.resume()
            client.say({"type": "websocket.disconnect", "code": 1001})
    assert_empty(room.hub)


async def test_everything_arrives_in_order(room: Room, autojump_clock: MockClock) -> None:
    """Publications and direct messages come as on our own server; what is on its way is told as delivered."""
    async with serve(room, "ada", "bob") as [(ada, websocket), (bob, _)]:
        receipt = await room.hub.broadcast("news", "1")
        await websocket.send_text("direct")
        await room.hub.broadcast("news", "2")
        await websocket.send_text("again")
        await wait_all_tasks_blocked()
        assert ada.got == ["1", "direct", "2", "again"]
        assert bob.got == ["1", "2"]
        assert numbers(receipt) == (2, 0, 0, 0)
        assert room.hub.statistics().behind == 0


async def test_a_stalled_client_hurts_nobody(room: Room, autojump_clock: MockClock) -> None:
    """While one send of the server hangs, the others get everything, and it gets the rest when it goes on."""
    async with serve(room, "ada", "bob") as [(ada, websocket), (bob, _)]:
        ada.stall()
        for number in range(100):
            await room.hub.broadcast("news", str(number))
            await wait_all_tasks_blocked()
        assert bob.got == [str(number) for number in range(100)]
        assert ada.got == []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.send_text, "direct")
            await wait_all_tasks_blocked()
            await room.hub.broadcast("news", "100")
            await wait_all_tasks_blocked()
            ada.resume()
        await wait_all_tasks_blocked()
        assert ada.got == [*(str(number) for number in range(100)), "direct", "100"]


async def test_close_comes_last(room: Room, autojump_clock: MockClock) -> None:
    """Everything that waits is sent before the close event."""
    async with serve(room, "ada") as [(ada, websocket)]:
        ada.stall()
        room.publish("news", "1", "2", "3")
        await wait_all_tasks_blocked()
        room.hub.broadcast_nowait("news", "4")
        await websocket.close(4000)
        ada.resume()
        await wait_all_tasks_blocked()
        assert ada.got == ["1", "2", "3", "4"]
        assert ada.events[-1] == {"type": "websocket.close", "code": 4000, "reason": ""}


async def test_a_client_that_is_too_slow_is_disconnected(make_room: Any, autojump_clock: MockClock) -> None:
    """The policy reaches clients of other servers too, as far as their server lets it."""
    room = make_room(capacity=2)
    async with serve(room, "ada") as [(ada, websocket)]:
        ada.stall()
        room.publish("news", long := "1" * 70_000)
        await wait_all_tasks_blocked()
        for number in range(2, 6):
            room.hub.broadcast_nowait("news", str(number))
        with pytest.raises(WebSocketDisconnect) as caught:
            await websocket.send_text("direct")
        assert caught.value.code == CloseCode.TRY_AGAIN_LATER
        ada.resume()
        await wait_all_tasks_blocked()
        assert ada.got == [long]
        assert ada.events[-1]["code"] == CloseCode.TRY_AGAIN_LATER


async def test_a_burst_is_no_slowness(room: Room, autojump_clock: MockClock) -> None:
    """More publications at once than a channel holds reach a client that takes them, since a server's send is given
    some on credit, as a socket takes them into its buffer."""
    async with serve(room, "ada") as [(ada, _)]:
        messages = [str(number) for number in range(600)]
        for message in messages:
            room.hub.broadcast_nowait("news", message)
        await wait_all_tasks_blocked()
        assert ada.got == messages


async def test_catching_up_waits_for_the_server(make_room: Any, autojump_clock: MockClock) -> None:
    """While less waits for a client than is given on credit, but something does, no task runs in circles."""
    room = make_room(history=History())
    async with serve(room, "ada") as [(ada, websocket)]:
        await room.hub.broadcast("old", "missed")
        newest = await room.hub.latest("old")
        assert newest is not None
        ada.take(2)
        room.publish("news", *(messages := [f"{number}".ljust(30_000) for number in range(4)]))
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:

            async def resume() -> None:
                await room.hub.subscribe(websocket, "old", since=Position(newest.position.epoch, 0))

            nursery.start_soon(resume)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            assert trio.lowlevel.current_statistics().tasks_runnable == 0
            assert ada.got == messages[:2]
            ada.resume()
        await wait_all_tasks_blocked()
        assert ada.got == [*messages, "missed"]
