"""What a publisher learns: a receipt tells the truth whenever it is read."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import stage
from tests.hub.rooms import Room, numbers
from wsframework import App, Limits, Overflow, WebSocket
from wsframework.testing import connect


@pytest.mark.parametrize("late", [False, True], ids=["read early", "read late"])
async def test_a_receipt_is_true_when_read_early_or_late(late: bool) -> None:
    """Reading a receipt before the pump has come delivers at once; the numbers are the same as later."""
    async with stage() as here:
        ada, bob, cleo = [await here.enter("news") for _ in range(3)]
        bob.stall()
        receipts = [
            here.hub.broadcast_nowait("news", "1"),
            here.hub.broadcast_nowait("news", "2", exclude=cleo.websocket),
        ]
        if late:
            await wait_all_tasks_blocked()
        assert [numbers(receipt) for receipt in receipts] == [(2, 1, 0, 0), (1, 1, 0, 0)]
        assert ada.writes == [["1", "2"]]
        assert cleo.writes == [["1"]]
        await wait_all_tasks_blocked()
        assert ada.writes == [["1", "2"]]


@pytest.mark.parametrize("number", ["delivered", "queued", "dropped", "conflated", "disconnected", "furthest_behind"])
async def test_any_number_of_a_receipt_delivers(number: str) -> None:
    """Whichever number is read first, it is read after the delivery."""
    async with stage() as here:
        ada = await here.enter("news")
        receipt = here.hub.broadcast_nowait("news", "hello")
        assert ada.got == []
        assert getattr(receipt, number) == (number == "delivered")
        assert ada.got == ["hello"]


async def test_a_receipt_of_one_topic_delivers_the_others_in_their_order() -> None:
    """Reading a receipt is a turn of the pump ahead of its time, for everything that is pending."""
    async with stage() as here:
        ada = await here.enter("news", "sport")
        first = here.hub.broadcast_nowait("news", "1")
        second = here.hub.broadcast_nowait("sport", "2")
        assert second.delivered == 1
        assert ada.got == ["1", "2"]
        assert first.delivered == 1
        assert ada.got == ["1", "2"]


async def test_a_receipt_without_subscribers_is_settled_at_once(room: Room, autojump_clock: MockClock) -> None:
    """Nobody to deliver to is nothing to wait for."""
    async with room.join() as ada:
        room.hub.broadcast_nowait("news", "hello")
        assert numbers(await room.hub.broadcast("news", "hello")) == (0, 0, 0, 0)
        await room.hub.subscribe(ada.websocket, "news")
        await ada.client.receive_nothing()


async def test_a_receipt_reads_well(room: Room, autojump_clock: MockClock) -> None:
    """Printing a receipt shows its numbers."""
    async with room.join("news"):
        receipt = await room.hub.broadcast("news", "hello")
        assert repr(receipt) == (
            "Receipt(delivered=1, queued=0, dropped=0, conflated=0, disconnected=0, furthest_behind=0)"
        )


async def test_a_receipt_that_is_read_inside_a_hook_delivers_to_the_publisher_too(autojump_clock: MockClock) -> None:
    """An endpoint that reads its receipt gets its own message then, before it sends anything else."""
    app = App()

    @app.websocket("/")
    async def curious(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        receipt = await app.hub.broadcast("news", "published")
        await websocket.send_json(receipt.delivered + receipt.queued)
        await websocket.receive_text()

    async with connect(app) as client:
        assert [await client.receive(), await client.receive()] == ["published", "1"]


async def test_receipts_stay_true_after_the_hub_has_stopped() -> None:
    """The hub delivers what is pending when it stops, so a receipt has its numbers also afterwards."""
    async with stage() as here:
        ada = await here.enter("news")
        receipt = here.hub.broadcast_nowait("news", "last")
    assert numbers(receipt) == (1, 0, 0, 0)
    assert ada.got == ["last"]


async def test_a_subscriber_that_has_left_is_in_no_receipt() -> None:
    """A client whose end has begun gets nothing and counts nowhere, also before its session has noticed."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        ada.stall()
        receipt = here.hub.broadcast_nowait("news", "before")
        assert numbers(receipt) == (1, 1, 0, 0)
        ada.cut_off(4000)
        bob.cut_off(4000)
        receipt = here.hub.broadcast_nowait("news", "after")
        assert numbers(receipt) == (0, 0, 0, 0)
        assert ada.got == bob.got == ["before"]


async def test_receipts_of_many_tasks_add_up() -> None:
    """Whoever reads when, each publisher learns about its own message."""
    async with stage(overflow=Overflow.DROP_NEWEST, capacity=2) as here:
        await here.enter("news")
        (await here.enter("news")).stall()
        sums = [0, 0, 0, 0]

        async def publish(number: int) -> None:
            receipt = await here.hub.broadcast("news", str(number))
            if number % 2:
                await trio.lowlevel.checkpoint()
            for index, value in enumerate(numbers(receipt)):
                sums[index] += value

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(publish, number)
        statistics = here.hub.statistics()
        delivered, queued, dropped, disconnected = sums
        assert (delivered, disconnected) == (20, 0)
        assert queued + dropped == 20
        assert (statistics.dropped, statistics.waiting) == (dropped, 2)


async def test_a_client_that_turns_out_to_be_gone_has_got_nothing(room: Room, autojump_clock: MockClock) -> None:
    """The broadcast that finds a connection broken does not count it as delivered, nor do those after it."""
    async with room.join("news", limits=Limits(ping_interval=None)) as ada, room.join("news") as bob:
        broken = ada.websocket.transport
        broken._wire.send = _break  # type: ignore[attr-defined]  # as a socket whose peer has sent a reset
        assert numbers(await room.hub.broadcast("news", "1")) == (1, 0, 0, 0)
        assert broken.gone
        again = await room.hub.broadcast("news", "2")
        assert again.delivered + again.queued == 1
        assert await bob.receive(2) == ["1", "2"]


def _break(data: bytes) -> int:
    raise ConnectionResetError
