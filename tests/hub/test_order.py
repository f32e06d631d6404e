"""One order per topic, and direct messages in their place."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import Room
from wsframework import App, WebSocket
from wsframework.testing import connect


async def test_everybody_sees_a_topic_in_one_order(room: Room, autojump_clock: MockClock) -> None:
    """However many publish at once, all subscribers agree on what came after what."""
    async with room.join("news") as ada, room.join("news") as bob, room.join("news") as cleo:

        async def publish(name: str) -> None:
            for number in range(30):
                await room.hub.broadcast("news", f"{name}{number}", exclude=None if number % 3 else ())
                if number % 4 == 0:
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for name in "xyz":
                nursery.start_soon(publish, name)
        received = await ada.receive_rest()
        assert received == await bob.receive_rest() == await cleo.receive_rest()
        for name in "xyz":
            assert [message for message in received if name in message] == [f"{name}{number}" for number in range(30)]


@pytest.mark.parametrize("nowait", [False, True], ids=["broadcast", "broadcast_nowait"])
async def test_a_direct_message_after_a_broadcast_arrives_after_it(
    room: Room, nowait: bool, autojump_clock: MockClock
) -> None:
    """In one task, what is sent directly comes after what was published before, on every topic."""
    async with room.join("news", "sport") as ada:
        for number in range(50):
            for topic in ("sport", "news"):
                if nowait:
                    room.hub.broadcast_nowait(topic, f"{topic} {number}")
                else:
                    await room.hub.broadcast(topic, f"{topic} {number}")
            await ada.websocket.send_text(f"direct {number}")
        for number in range(50):
            assert set(await ada.receive(2)) == {f"news {number}", f"sport {number}"}
            assert await ada.receive(1) == [f"direct {number}"]


async def test_a_broadcast_after_a_direct_message_arrives_after_it(room: Room, autojump_clock: MockClock) -> None:
    """A publication does not overtake a direct message that was sent before, gathered or not."""
    app = App()

    @app.websocket("/")
    async def eager(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        async for text in websocket.iter_text():
            await websocket.send_text(f"direct {text}")
            await app.hub.broadcast("news", f"published {text}")

    async with connect(app) as client:
        for number in range(50):  # many at once, so that the replies gather
            await client.send(str(number))
        received = [await client.receive() for _ in range(100)]
        assert received == [f"{kind} {number}" for number in range(50) for kind in ("direct", "published")]


async def test_close_after_a_broadcast_arrives_after_it(room: Room, autojump_clock: MockClock) -> None:
    """The last words of an endpoint may be published."""
    async with room.join("news") as ada:
        room.hub.broadcast_nowait("news", "goodbye")
        await ada.websocket.close(4000)
        assert await ada.client.receive() == "goodbye"
        assert (await ada.client.wait_closed()).code == 4000


async def test_a_direct_message_brings_only_its_own_client_forward() -> None:
    """One who sends directly makes its own client get ahead; the pump does not tell it anything twice."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        here.hub.broadcast_nowait("news", "1")
        assert ada.mailbox.catch_up()
        assert (ada.got, bob.got) == (["1"], [])
        here.hub.broadcast_nowait("news", "2")
        await wait_all_tasks_blocked()
        assert ada.got == bob.got == ["1", "2"]


async def test_one_who_got_ahead_is_joined_with_the_others_again() -> None:
    """After it was ahead in one tick, a client takes part in the next one as everybody does."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        here.hub.broadcast_nowait("news", "1")
        ada.mailbox.catch_up()
        await wait_all_tasks_blocked()
        for message in ("2", "3"):
            here.hub.broadcast_nowait("news", message)
        await wait_all_tasks_blocked()
        assert ada.writes == bob.writes == [["1"], ["2", "3"]]


async def test_order_holds_while_clients_come_and_go(make_room: Callable[..., Room], autojump_clock: MockClock) -> None:
    """Whoever joins in the middle of a stream sees a piece of it without a gap."""
    room = make_room()
    async with room.join("news") as witness:

        async def visit(delay: int) -> None:
            async with room.join() as member:
                for _ in range(delay):
                    await trio.lowlevel.checkpoint()
                await room.hub.subscribe(member.websocket, "news")
                for _ in range(5):
                    await trio.lowlevel.checkpoint()
                await room.hub.unsubscribe(member.websocket, "news")
                seen = [int(message) for message in await member.receive_rest()]
                assert seen == list(range(seen[0], seen[0] + len(seen)))

        async with trio.open_nursery() as nursery:
            for delay in range(0, 100, 7):
                nursery.start_soon(visit, delay)
            for number in range(1000):
                await room.hub.broadcast("news", str(number))
                if number % 2:
                    await trio.lowlevel.checkpoint()
        assert await witness.receive_rest() == [str(number) for number in range(1000)]
