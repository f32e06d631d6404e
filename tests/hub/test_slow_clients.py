"""A client that does not read hurts nobody, and gets what waited for it when it reads again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import FROZEN, NARROW, Room, assert_empty, numbers
from wsframework import CloseCode, Limits, Overflow, WebSocketDisconnect


@pytest.mark.parametrize("overflow", [policy for policy in Overflow if policy is not Overflow.BLOCK])
async def test_a_frozen_client_never_delays_another(
    make_room: Callable[..., Room], overflow: Overflow, autojump_clock: MockClock
) -> None:
    """While one client takes nothing, the others get everything at once, and the publisher never waits."""
    room = make_room(capacity=5, overflow=overflow)
    async with room.join("news", window=NARROW) as frozen, room.join("news") as ada, room.join("news") as bob:
        await frozen.freeze()
        start = trio.current_time()
        for number in range(200):
            await room.hub.broadcast("news", str(number))
            assert await ada.client.receive() == str(number)
            assert await bob.client.receive() == str(number)
        assert trio.current_time() == start


async def test_a_client_that_resumes_gets_exactly_what_waited(room: Room, autojump_clock: MockClock) -> None:
    """Nothing is lost, nothing comes twice, and the order is that of the publisher."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        expected = [str(number) for number in range(100)]
        for message in expected:
            await room.hub.broadcast("news", message)
            await wait_all_tasks_blocked()
        statistics = room.hub.statistics()
        assert (statistics.behind, statistics.waiting) == (1, 99)
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, *expected]
        statistics = room.hub.statistics()
        assert (statistics.behind, statistics.waiting, statistics.waiting_bytes) == (0, 0, 0)
        assert numbers(await room.hub.broadcast("news", "and on")) == (1, 0, 0, 0)
        assert await ada.client.receive() == "and on"


async def test_a_client_that_stalls_again_and_again(room: Room, autojump_clock: MockClock) -> None:
    """Stalling and resuming in the middle of a stream of messages neither loses nor reorders any."""
    async with room.join("news", window=NARROW) as ada:
        for number in range(200):
            if number % 10 == 0:
                ada.client.stall()
            await room.hub.broadcast("news", str(number))
            if number % 10 == 6:
                ada.client.resume()
            if number % 3 == 0:
                await trio.lowlevel.checkpoint()
        assert await ada.receive_rest() == [str(number) for number in range(200)]


async def test_a_client_catches_up_in_bounded_writes() -> None:
    """What waits leaves in joined writes of about 64 KiB, so that the next stall finds most of it still here."""
    async with stage() as here:
        ada = await here.enter("news")
        ada.stall()
        for number in range(41):
            repr(here.hub.broadcast_nowait("news", f"{number:02}" * 4096))
        ada.resume(room=2)
        assert [len(write) for write in ada.writes] == [1, 8, 8]
        statistics = here.hub.statistics()
        assert (statistics.behind, statistics.waiting) == (1, 24)
        ada.resume()
        assert [len(write) for write in ada.writes] == [1] + [8] * 5
        assert ada.got == [f"{number:02}" * 4096 for number in range(41)]


async def test_a_client_that_falls_behind_while_it_catches_up() -> None:
    """A client that takes a little at a time stays behind until it has taken all."""
    async with stage() as here:
        ada = await here.enter("news")
        ada.stall()
        repr(here.hub.broadcast_nowait("news", "x" * 100_000))
        for _ in range(3):
            repr(here.hub.broadcast_nowait("news", "x" * 70_000))
        for waiting in (2, 1, 0):
            ada.resume(room=1)
            assert here.hub.statistics().waiting == waiting
            assert here.hub.statistics().behind == 1
        ada.resume(room=1)
        assert here.hub.statistics().behind == 0


# Direct messages to a client that is behind


async def test_a_direct_message_lines_up_behind_what_was_published(room: Room, autojump_clock: MockClock) -> None:
    """It overtakes nothing that was published before it, and what is published later does not overtake it."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ada.websocket.send_text, "direct 1")
            await wait_all_tasks_blocked()
            room.publish("news", "3")
            nursery.start_soon(ada.websocket.send_text, "direct 2")
            await wait_all_tasks_blocked()
            room.publish("news", "4")
            ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1", "2", "direct 1", "3", "direct 2", "4"]


async def test_a_direct_message_waits_for_its_own_client_only(room: Room, autojump_clock: MockClock) -> None:
    """The sender waits until its message is on its way, however long that takes; nobody else notices."""
    async with room.join("news", window=NARROW) as ada, room.join("news") as bob:
        await ada.freeze()
        room.publish("news", "1", "2")
        sent = trio.Event()

        async def send() -> None:
            await ada.websocket.send_text("direct")
            sent.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await bob.receive(2) == ["1", "2"]
            await trio.sleep(5)
            assert not sent.is_set()
            ada.client.resume()
            assert await ada.receive_rest() == [FROZEN, "1", "2", "direct"]
            assert sent.is_set()


async def test_a_cancelled_direct_message_arrives_whole_and_in_its_place(room: Room, autojump_clock: MockClock) -> None:
    """Cancelling a sender that waits in line does not take its message out of the line, nor tear it."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2")
        with trio.move_on_after(1) as scope:
            await ada.websocket.send_text("direct")
        assert scope.cancelled_caught
        room.publish("news", "3")
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1", "2", "direct", "3"]


async def test_cancelled_direct_messages_do_not_pile_up(room: Room, autojump_clock: MockClock) -> None:
    """A loop of sends that are given up leaves a bounded number of messages in line, in order."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        for publication in ("1", "2"):
            room.publish("news", publication)
            await wait_all_tasks_blocked()
        for number in range(200):
            with trio.move_on_after(0.01):
                await ada.websocket.send_text(f"direct {number}")
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1", "2", *(f"direct {number}" for number in range(64))]


async def test_a_direct_message_of_a_client_that_is_cut_off_raises(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """Who waits in line when the policy disconnects the client learns that the message was not sent."""
    room = make_room(capacity=2)
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2")
        raised: list[int] = []

        async def send() -> None:
            with pytest.raises(WebSocketDisconnect) as caught:
                await ada.websocket.send_text("direct")
            raised.append(caught.value.code)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            assert raised == []
            with trio.fail_after(0.5):
                room.publish("news", "3", "4")
                await wait_all_tasks_blocked()
        assert raised == [CloseCode.TRY_AGAIN_LATER]
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1"]


async def test_a_direct_message_that_makes_the_client_too_slow_raises(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """When catching up is what fills the mailbox, the message that asked for it is not sent behind the close frame."""
    room = make_room(capacity=2)
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2", "3")
        room.hub.broadcast_nowait("news", "4")
        with pytest.raises(WebSocketDisconnect) as caught, trio.fail_after(0.5):
            await ada.websocket.send_text("direct")
        assert caught.value.code == CloseCode.TRY_AGAIN_LATER
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1"]


async def test_a_reply_in_line_reaches_a_client_that_has_said_goodbye(room: Room, autojump_clock: MockClock) -> None:
    """A reply that lined up before the client's close frame came is still sent, also when more is published then."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2")
        replied = trio.Event()

        async def reply() -> None:
            await ada.websocket.send_text("reply")
            replied.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply)
            await wait_all_tasks_blocked()
            ada.websocket.transport._begin_end(4000, "")  # as when it comes while a hook is busy
            assert numbers(room.publish("news", "3")[0]) == (0, 0, 0, 0)
            ada.client.resume()
            with trio.fail_after(0.5):
                await replied.wait()
            assert await ada.receive_rest() == [FROZEN, "1", "2", "reply"]


async def test_direct_messages_do_not_overtake_each_other() -> None:
    """While some wait in line, a new one lines up behind them, also when nothing published waits any more."""
    async with stage() as here:
        ada = await here.enter("news")
        ada.stall()
        for message in ("on its way", "1"):
            repr(here.hub.broadcast_nowait("news", message))
        for message in ("direct 1", "direct 2"):
            assert not ada.mailbox.catch_up()
            ada.mailbox.line_up([message])
        ada.resume(room=1)
        ada.resume(room=1)
        assert ada.got == ["on its way", "1", "direct 1"]
        assert not ada.mailbox.catch_up()
        ada.resume(room=1)
        assert ada.mailbox.catch_up()
        assert ada.got == ["on its way", "1", "direct 1", "direct 2"]


# Ends


async def test_what_was_published_before_unsubscribe_waits_on(room: Room, autojump_clock: MockClock) -> None:
    """A client that is behind when it unsubscribes still gets what was published before, and nothing of later."""
    async with room.join("news", "sport", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2", "3")
        room.publish("sport", "4")
        await room.hub.unsubscribe(ada.websocket, "news")
        await room.hub.unsubscribe(ada.websocket, "sport")
        assert room.hub.statistics().topics == 0
        assert room.hub.statistics().waiting == 3
        room.publish("news", "5")
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1", "2", "3", "4"]


async def test_one_who_has_left_everything_can_come_back_while_behind(room: Room, autojump_clock: MockClock) -> None:
    """A new subscription stands in line behind what still waits from the old one."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", "1", "2")
        await room.hub.unsubscribe(ada.websocket, "news")
        room.publish("news", "missed")
        await room.hub.subscribe(ada.websocket, "news")
        room.publish("news", "3")
        ada.client.resume()
        assert await ada.receive_rest() == [FROZEN, "1", "2", "3"]


async def test_close_sends_everything_that_waits_first(room: Room, autojump_clock: MockClock) -> None:
    """close comes after what was published and after what lined up, also for a client that is far behind."""
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        room.publish("news", *map(str, range(100)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ada.websocket.send_text, "direct")
            await wait_all_tasks_blocked()
            room.hub.broadcast_nowait("news", "last")
            await ada.websocket.close(4000, "done")
            ada.client.resume()
            received = await ada.receive_rest()
        assert received == [FROZEN, *map(str, range(100)), "direct", "last"]
        assert (await ada.client.wait_closed()).code == 4000


async def test_a_frozen_client_that_vanishes_is_let_go(room: Room, autojump_clock: MockClock) -> None:
    """Nothing waits for a client whose connection broke, and nobody who sends to it is left waiting."""
    async with room.join("news", window=NARROW) as ada, room.join("news") as bob:
        await ada.freeze()
        room.publish("news", "1", "2", "3")

        async def send() -> None:
            with pytest.raises(WebSocketDisconnect):
                await ada.websocket.send_text("direct")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            ada.client.vanish()
        await wait_all_tasks_blocked()
        statistics = room.hub.statistics()
        assert (statistics.subscribers, statistics.waiting, statistics.behind) == (1, 0, 0)
        assert await bob.receive(3) == ["1", "2", "3"]


async def test_a_client_whose_connection_is_found_broken_by_a_broadcast(room: Room, autojump_clock: MockClock) -> None:
    """The publisher gets no error, and the hub lets go of the client when its session ends."""
    async with room.join("news", limits=Limits(ping_interval=None)) as ada, room.join("news") as bob:
        ada.client.vanish()
        await room.hub.broadcast("news", "1")
        await room.hub.broadcast("news", "2")
        assert await bob.receive(2) == ["1", "2"]
        await wait_all_tasks_blocked()
        assert room.hub.statistics().subscribers == 1
    assert_empty(room.hub)


async def test_a_burst_in_one_tick_stays_within_the_bounds(
    make_room: Callable[..., Room], autojump_clock: MockClock
) -> None:
    """A client that freezes is not handed everything at once because it kept up until now."""
    room = make_room(capacity=10, overflow=Overflow.DROP_NEWEST)
    async with room.join("news", window=NARROW) as ada:
        await ada.freeze()
        receipts = [room.hub.broadcast_nowait("news", "x" * 30_000) for _ in range(20)]
        # One write of 64 KiB or a little more goes to the connection, ten wait in the channel, the others are dropped.
        assert [numbers(receipt) for receipt in receipts[:13]] == [(0, 1, 0, 0)] * 13
        assert [numbers(receipt) for receipt in receipts[13:]] == [(0, 0, 1, 0)] * 7
        assert room.hub.statistics().waiting == 10
