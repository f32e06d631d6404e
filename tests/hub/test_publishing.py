"""What can be published, from where, and at what cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import attrs
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import Room, numbers
from wsframework import App, History, Overflow, WebSocket, WebSocketEndpoint
from wsframework.testing import connect
from wsframework.testing.streams import MemoryStream


@attrs.frozen
class Price:
    cents: int


@dataclass
class Place:
    x: int
    y: int


class Joined(msgspec.Struct, tag="joined"):
    name: str


# What may be published


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("hello", "hello"),
        ("", ""),
        ("grüße, 世界 🐎", "grüße, 世界 🐎"),
        (b"\x00\xff", b"\x00\xff"),
        (b"", b""),
        (bytearray(b"bytes"), b"bytes"),
        pytest.param(memoryview(b"bytes"), b"bytes", id="memoryview"),
        ({"a": [1, 2.5, None, True]}, '{"a":[1,2.5,null,true]}'),
        ([], "[]"),
        (0, "0"),
        (None, "null"),
        (False, "false"),
        (Price(1250), '{"cents":1250}'),
        (Place(1, 2), '{"x":1,"y":2}'),
        (Joined("ada"), '{"type":"joined","name":"ada"}'),
    ],
    ids=repr,
)
async def test_strings_are_text_bytes_are_binary_and_the_rest_is_json(
    room: Room, data: Any, message: str | bytes, autojump_clock: MockClock
) -> None:
    """broadcast makes a message out of anything, and an empty one is a message."""
    async with room.join("news") as ada:
        await room.hub.broadcast("news", data)
        assert await ada.client.receive() == message


async def test_bytes_that_change_later_are_published_as_they_were(room: Room, autojump_clock: MockClock) -> None:
    """A publisher may use its buffer again at once."""
    buffer = bytearray(b"before")
    async with room.join("news") as ada:
        room.hub.broadcast_nowait("news", buffer)
        buffer[:] = b"after!"
        assert await ada.client.receive() == b"before"


@pytest.mark.parametrize("subscribed", [True, False], ids=["somebody there", "nobody there"])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (object(), TypeError),
        ({"a": object()}, TypeError),
        (lambda: None, TypeError),
        ("a lone \ud800 surrogate", UnicodeEncodeError),
        (["\udfff"], UnicodeEncodeError),
    ],
    ids=["object", "nested object", "function", "lone surrogate", "lone surrogate in JSON"],
)
async def test_what_is_no_message_is_an_error_of_the_publisher(
    room: Room, data: Any, error: type[Exception], subscribed: bool, autojump_clock: MockClock
) -> None:
    """Data that cannot be sent raises where it is published, counts nowhere, and harms nobody."""
    async with room.join(*["news"] * subscribed) as ada:
        for _ in range(2):
            with pytest.raises(error):
                room.hub.broadcast_nowait("news", data)
            with pytest.raises(error):
                await room.hub.broadcast("news", data)
        assert room.hub.statistics().published == 0
        await wait_all_tasks_blocked()
        await room.hub.subscribe(ada.websocket, "news")
        assert numbers(await room.hub.broadcast("news", "fine")) == (1, 0, 0, 0)
        assert await ada.client.receive() == "fine"
        await ada.client.receive_nothing()


# Who is left out


async def test_exclude_leaves_out_one_or_several(room: Room, autojump_clock: MockClock) -> None:
    """exclude takes a WebSocket or any collection of them; the rest gets the message."""
    async with room.join("news") as ada, room.join("news") as bob, room.join("news") as cleo:
        receipts = [
            await room.hub.broadcast("news", "not ada", exclude=ada.websocket),
            await room.hub.broadcast("news", "not ada, not bob", exclude={ada.websocket, bob.websocket}),
            await room.hub.broadcast("news", "not bob", exclude=[bob.websocket]),
            await room.hub.broadcast("news", "all", exclude=[]),
        ]
        assert await ada.receive_rest() == ["not bob", "all"]
        assert await bob.receive_rest() == ["not ada", "all"]
        assert await cleo.receive_rest() == ["not ada", "not ada, not bob", "not bob", "all"]
        assert [receipt.delivered for receipt in receipts] == [2, 1, 2, 3]


async def test_exclude_everybody(room: Room, autojump_clock: MockClock) -> None:
    """A message for nobody goes nowhere."""
    async with room.join("news") as ada:
        assert numbers(await room.hub.broadcast("news", "hello", exclude=ada.websocket)) == (0, 0, 0, 0)
        await ada.client.receive_nothing()


async def test_exclude_somebody_who_is_not_there(room: Room, autojump_clock: MockClock) -> None:
    """Who subscribes to nothing, or to another topic, or has left, can be excluded; that changes nothing."""
    async with room.join("news") as ada, room.join() as bob, room.join("sport") as cleo:
        async with room.join("news") as dan:
            pass
        await room.hub.broadcast("news", "hello", exclude=[bob.websocket, cleo.websocket, dan.websocket])
        assert await ada.client.receive() == "hello"
        await bob.client.receive_nothing()
        await cleo.client.receive_nothing()


# From where


async def test_publish_from_hooks_and_from_child_tasks(room: Room, autojump_clock: MockClock) -> None:
    """An endpoint publishes from its hooks, from a task of the connection, and without a server's help."""
    app = App()

    @app.websocket("/")
    class Chatty(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            await self.hub.subscribe(websocket, "news")
            await self.hub.broadcast("news", "from a hook")
            self.start_soon(self.child)

        async def child(self) -> None:
            await self.hub.broadcast("news", "from a child")
            self.hub.broadcast_nowait("news", "without waiting")

    async with connect(app) as client:
        assert [await client.receive() for _ in range(3)] == ["from a hook", "from a child", "without waiting"]
        app.hub.broadcast_nowait("news", "from outside")
        assert await client.receive() == "from outside"


async def test_broadcast_can_be_cancelled_before_it_has_published(room: Room, autojump_clock: MockClock) -> None:
    """A cancelled broadcast has published nothing."""
    async with room.join("news") as ada:
        with trio.CancelScope() as scope:
            scope.cancel()
            await room.hub.broadcast("news", "never")
        assert scope.cancelled_caught
        await ada.client.receive_nothing()


@pytest.mark.parametrize("topics", [["news"], ["nobody"], [f"topic {number}" for number in range(1000)]])
async def test_a_publisher_in_a_tight_loop_lets_others_run(topics: list[str]) -> None:
    """A loop of broadcasts neither starves the program nor outruns the pump, whatever it publishes to."""
    async with stage(max_topics=1001) as here:
        ada = await here.enter("news", *(topic for topic in topics if topic != "nobody"))
        turns = 0
        published = 0

        async def others() -> None:
            nonlocal turns
            for _ in range(10):
                turns += 1
                await trio.lowlevel.checkpoint()
            scope.cancel()

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(others)
                for number in range(100_000):
                    await here.hub.broadcast(topics[number % len(topics)], "again")
                    published += 1
        assert turns == 10
        assert published < 5000
        # Of what a tick gathers, each topic makes one write.
        assert all(len(write) < 500 for write in ada.writes)


# What it costs


async def test_a_broadcast_is_encoded_once(room: Room) -> None:
    """However many receive it, behind or not, one message is encoded one time."""
    async with stage() as here:
        clients = [await here.enter("news") for _ in range(20)]
        for client in clients[::2]:
            client.stall()
        for number in range(5):
            repr(here.hub.broadcast_nowait("news", str(number), exclude=clients[number].websocket))
        for client in clients[::2]:
            client.resume()
        assert here.wire_format.encoded == 5
        assert clients[-1].got == clients[-2].got == ["0", "1", "2", "3", "4"]


async def test_a_broadcast_is_turned_into_json_once(
    room: Room, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A value becomes JSON in the publisher's call, and never again."""
    made: list[Any] = []
    encode = msgspec.json.encode
    monkeypatch.setattr(msgspec.json, "encode", lambda value: made.append(value) or encode(value))
    async with room.join("news") as ada, room.join("news") as bob, room.join("news", subprotocols=["x"]) as cleo:
        await room.hub.broadcast("news", Price(1250))
        assert len(made) == 1
        received = [await member.client.receive() for member in (ada, bob, cleo)]
        assert received == ['{"cents":1250}'] * 3
        assert len(made) == 1


async def test_publications_of_one_tick_leave_in_one_write_per_client() -> None:
    """The pump joins what was published to a topic since its last turn."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        for number in range(50):
            await here.hub.broadcast("news", str(number))
        await wait_all_tasks_blocked()
        assert ada.writes == bob.writes == [[str(number) for number in range(50)]]


async def test_one_write_per_client_reaches_the_stream(
    room: Room, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """With real connections too, many messages are one send on each client's stream."""
    sends: list[MemoryStream] = []
    send_all = MemoryStream.send_all

    async def count(stream: MemoryStream, data: bytes | bytearray | memoryview) -> None:
        sends.append(stream)
        await send_all(stream, data)

    async with room.join("news") as ada, room.join("news") as bob:
        monkeypatch.setattr(MemoryStream, "send_all", count)
        for number in range(50):
            await room.hub.broadcast("news", str(number))
        assert await ada.receive(50) == await bob.receive(50) == [str(number) for number in range(50)]
        assert len(sends) == len(set(sends)) == 2
        monkeypatch.undo()


async def test_one_who_is_left_out_does_not_cost_the_others_their_joined_write() -> None:
    """With somebody excluded from a part of a tick, everybody still gets one write."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        await here.hub.broadcast("news", "1")
        await here.hub.broadcast("news", "2", exclude=ada.websocket)
        await here.hub.broadcast("news", "3")
        await wait_all_tasks_blocked()
        assert (ada.writes, bob.writes) == ([["1", "3"]], [["1", "2", "3"]])


# What is counted


async def test_statistics_count_what_is_there_and_what_was_published(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """statistics tells of this moment, and of everything since the start, also what nobody subscribed to."""
    room = make_room()
    await_published = room.hub.statistics().published
    async with room.join("news", "sport") as ada, room.join("news") as bob:
        for topic in ("news", "sport", "nobody"):
            await room.hub.broadcast(topic, "hello")
        assert room.hub.statistics() == attrs.evolve(
            room.hub.statistics(), topics=2, subscribers=2, subscriptions=3, published=await_published + 3
        )
        assert sorted(await ada.receive(2)) == ["hello", "hello"]
        assert await bob.receive(1) == ["hello"]


@pytest.mark.parametrize("key", [["a"], {"a": 1}, ("a", ["b"])], ids=repr)
async def test_a_key_that_cannot_be_hashed(key: Any) -> None:
    """It is the publisher's mistake, and said to it in each way to publish; nobody's connection is closed for it."""
    async with stage(overflow=Overflow.LATEST, history=History()) as here:
        ada = await here.enter("news")
        ada.stall()
        here.publish("news", "on its way")
        with pytest.raises(TypeError, match="a key is hashable, such as a string, a number or a tuple of them"):
            await here.hub.broadcast("news", "hello", key=key)
        with pytest.raises(TypeError, match="a key is hashable"):
            here.hub.broadcast_nowait("news", "hello", key=key)
        here.publish("news", "good", key=("a", 1))
        ada.resume()
        assert ada.got == ["on its way", "good"]
