"""The policy that waits: the publisher is as slow as the slowest who chose it, for a bounded time."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import Stage, stage
from tests.hub.rooms import numbers
from wsframework import CloseCode, Overflow, Receipt, StandardEnvelope, WebSocketStateError


async def fill(here: Stage, number: int = 3) -> list[Receipt]:
    """Publish as much as has room for a client that is behind: one on its way, and two that wait."""
    return [await here.hub.broadcast("a", str(each)) for each in range(number)]


async def test_broadcast_waits_until_there_is_room(autojump_clock: MockClock) -> None:
    """It returns when the client has taken something, and the client gets everything."""
    async with stage(overflow=Overflow.BLOCK, capacity=2) as here:
        ada, bob = await here.enter("a"), await here.enter("a")
        ada.stall()
        await fill(here)

        async def take_later() -> None:
            await trio.sleep(3)
            assert bob.got == ["0", "1", "2"]
            ada.resume()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_later)
            receipt = await here.hub.broadcast("a", "3")
            assert trio.current_time() == 3
        assert numbers(receipt) == (2, 0, 0, 0)
        assert ada.got == bob.got == ["0", "1", "2", "3"]
        assert here.hub.statistics().dropped == 0


@pytest.mark.parametrize("bounds", [{"capacity": 2}, {"max_bytes": 2}], ids=["by messages", "by bytes"])
async def test_the_wait_has_a_deadline(bounds: dict[str, int], autojump_clock: MockClock) -> None:
    """A client that takes nothing until then is disconnected, and everybody else gets the message."""
    async with stage(overflow=Overflow.BLOCK, **bounds, block_timeout=5) as here:
        ada, bob, cleo = await here.enter("a"), await here.enter("a"), await here.enter("a")
        ada.stall()
        cleo.stall()
        await fill(here)
        receipt = await here.hub.broadcast("a", "3")
        assert trio.current_time() == 5
        assert numbers(receipt) == (1, 0, 6, 2)
        assert ada.close_code == cleo.close_code == CloseCode.TRY_AGAIN_LATER
        assert bob.got == ["0", "1", "2", "3"]
        assert here.hub.statistics("a").dropped_by == {Overflow.BLOCK: 6}
        await here.hub.broadcast("a", "4")
        assert trio.current_time() == 5


async def test_broadcast_nowait_publishes_nothing_when_it_would_have_to_wait() -> None:
    """It raises, and neither the one without room nor anybody else gets the message."""
    async with stage(overflow=Overflow.BLOCK, capacity=2) as here:
        ada, bob = await here.enter("a"), await here.enter("a")
        ada.stall()
        for number in range(3):
            here.hub.broadcast_nowait("a", str(number))
        with pytest.raises(trio.WouldBlock, match="await hub.broadcast"):
            here.hub.broadcast_nowait("a", "3")
        assert here.hub.statistics().published == 3
        assert here.hub.broadcast_nowait("a", "not for ada", exclude=ada.websocket).delivered == 1
        ada.resume()
        assert here.hub.broadcast_nowait("a", "4").delivered == 2
        assert ada.got == ["0", "1", "2", "4"]
        assert bob.got == ["0", "1", "2", "not for ada", "4"]


async def test_an_envelope_has_the_number_that_the_publication_gets(autojump_clock: MockClock) -> None:
    """Whoever waits for room measures what will go out; that it did so, and in vain, is seen in no client's offsets."""
    async with stage(overflow=Overflow.BLOCK, capacity=2, block_timeout=5) as here:
        ada, bob = (
            await here.enter("a", envelope=StandardEnvelope()),
            await here.enter("a", envelope=StandardEnvelope()),
        )
        ada.stall()
        await fill(here)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.hub.broadcast, "a", "waits until ada is cut off")
            await wait_all_tasks_blocked()
            here.hub.broadcast_nowait("a", "comes in between", exclude=ada.websocket)
        assert numbers(await here.hub.broadcast("a", "the last")) == (1, 0, 0, 0)
        assert ada.close_code == CloseCode.TRY_AGAIN_LATER
        assert [json.loads(message)["offset"] for message in bob.got] == [1, 2, 3, 4, 5, 6]


async def test_only_those_who_chose_it_hold_up_their_topic(autojump_clock: MockClock) -> None:
    """A client with another policy is never waited for, nor is anybody on another topic."""
    async with stage(capacity=1, overflow=Overflow.DROP_OLDEST) as here:
        ada, bob = await here.enter("a", "b"), await here.enter()
        await here.hub.subscribe(bob.websocket, "a", overflow=Overflow.BLOCK, capacity=2)
        ada.stall()
        await fill(here, 10)
        await wait_all_tasks_blocked()
        bob.stall()
        await fill(here)
        for _ in range(10):
            await here.hub.broadcast("b", "free")
        assert trio.current_time() == 0
        with trio.move_on_after(1) as scope:
            await here.hub.broadcast("a", "has to wait")
        assert scope.cancelled_caught


async def test_publishers_that_wait_keep_their_order(autojump_clock: MockClock) -> None:
    """First come, first served; and a client that is cut off costs all of them its time once."""
    async with stage(overflow=Overflow.BLOCK, capacity=1, block_timeout=5) as here:
        ada, bob = await here.enter("a"), await here.enter("a")
        ada.stall()
        await fill(here, 2)
        async with trio.open_nursery() as nursery:
            for number in range(2, 7):
                nursery.start_soon(here.hub.broadcast, "a", str(number))
                await wait_all_tasks_blocked()
            await trio.sleep(4)
            ada.resume(room=1)
            await trio.sleep(4)
        await wait_all_tasks_blocked()
        assert trio.current_time() == 9
        assert bob.got == [str(number) for number in range(7)]
        assert ada.got == ["0", "1"]


async def test_a_publisher_that_waits_can_be_cancelled(autojump_clock: MockClock) -> None:
    """Its message was not published, and the next publisher has its turn."""
    async with stage(overflow=Overflow.BLOCK, capacity=1) as here:
        ada = await here.enter("a")
        ada.stall()
        await fill(here, 2)
        with trio.move_on_after(1) as scope:
            await here.hub.broadcast("a", "cancelled")
        assert scope.cancelled_caught
        ada.resume()
        await here.hub.broadcast("a", "next")
        await wait_all_tasks_blocked()
        assert ada.got == ["0", "1", "next"]


@pytest.mark.parametrize("way", ["leaves", "unsubscribes", "is cut off"])
async def test_nobody_waits_for_one_who_has_gone(way: str, autojump_clock: MockClock) -> None:
    """A publisher goes on at once when the client it waits for leaves, or its topic, and that is no disconnect."""
    async with stage(overflow=Overflow.BLOCK, capacity=1) as here:
        ada, bob = await here.enter("a"), await here.enter("a")
        ada.stall()
        await fill(here, 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.hub.broadcast, "a", "2")
            await trio.sleep(1)
            match way:
                case "leaves":
                    ada.leave()
                case "unsubscribes":
                    await here.hub.unsubscribe(ada.websocket, "a")
                case "is cut off":
                    ada.cut_off(4000)
                    ada.leave()
        await wait_all_tasks_blocked()
        assert trio.current_time() == 1
        assert bob.got == ["0", "1", "2"]
        assert here.hub.statistics().disconnected == 0


async def test_a_message_that_never_fits_waits_for_a_client_that_keeps_up(autojump_clock: MockClock) -> None:
    """What is larger than the lane goes out when nothing stands before it, and is not lost when something then does."""
    async with stage(overflow=Overflow.BLOCK, max_bytes=10) as here:
        ada = await here.enter("a")
        ada.stall()
        await fill(here, 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(here.hub.broadcast, "a", "x" * 100)
            await trio.sleep(1)
            ada.resume()
            await wait_all_tasks_blocked()
        assert ada.got == ["0", "1", "x" * 100]
        late = here.hub.broadcast_nowait("a", "y" * 100)
        ada.mailbox.behind = True  # a direct message was sent before the pump had come
        assert late.queued == 1
        ada.resume()
        assert ada.got[-1] == "y" * 100


@pytest.mark.parametrize("closed", [False, True], ids=["its block is left", "it is closed"])
async def test_a_hub_that_stops_lets_go_of_its_publishers(closed: bool, autojump_clock: MockClock) -> None:
    """Who still waited learns at once that the hub does not run, and so does everybody whose turn came after that."""
    async with trio.open_nursery() as nursery:
        async with stage(overflow=Overflow.BLOCK, capacity=1) as here:
            ada = await here.enter("a")
            ada.stall()
            await fill(here, 2)

            async def publish() -> None:
                with pytest.raises(WebSocketStateError, match="does not run"):
                    await here.hub.broadcast("a", "2")

            for _ in range(3):
                nursery.start_soon(publish)
            await wait_all_tasks_blocked()
            if closed:
                with trio.move_on_after(1):
                    await here.hub.aclose()
                await wait_all_tasks_blocked()
                assert nursery.child_tasks == set()
    assert trio.current_time() == (1 if closed else 0)
