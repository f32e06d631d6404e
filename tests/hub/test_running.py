"""The hub's own life: when it delivers, how it stops, and what cannot stop it."""

from __future__ import annotations

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import FakeClient, Stage, stage
from tests.hub.rooms import Room, assert_empty, numbers
from wsframework import App, CloseCode, Hub, WebSocket, WebSocketStateError
from wsframework.messages import Message
from wsframework.testing import connect


async def test_a_hub_can_run_again(room: Room, autojump_clock: MockClock) -> None:
    """After its app has stopped, the same hub runs in the next life of that app, and counts on."""
    for number in range(3):
        with pytest.raises(WebSocketStateError, match="does not run"):
            room.hub.broadcast_nowait("news", "nobody is here")
        async with room.join("news") as ada:
            await room.hub.broadcast("news", str(number))
            assert await ada.client.receive() == str(number)
        assert_empty(room.hub)
    assert room.hub.statistics().published == 3


async def test_a_hub_runs_once_at_a_time() -> None:
    """One hub belongs to one app; the one that runs is not disturbed by the attempt."""
    async with stage() as here:
        with pytest.raises(ValueError, match="running already"):
            async with here.hub.running():
                pass  # pragma: no cover - it raises
        ada = await here.enter("news")
        await here.hub.broadcast("news", "hello")
        await wait_all_tasks_blocked()
        assert ada.got == ["hello"]


async def test_running_gives_the_hub() -> None:
    """``async with Hub().running() as hub`` is enough to have one."""
    async with Hub().running() as hub:
        assert isinstance(hub, Hub)
        assert numbers(await hub.broadcast("news", "hello")) == (0, 0, 0, 0)


async def test_what_is_pending_is_delivered_when_the_hub_stops() -> None:
    """A publication of the last tick is not lost."""
    async with Hub().running() as hub:
        here = Stage(hub)
        ada = await here.enter("news")
        hub.broadcast_nowait("news", "last")
    assert ada.got == ["last"]
    here.leave()
    assert_empty(hub)


async def test_what_is_pending_is_delivered_wherever_the_pump_is() -> None:
    """Also when the hub stops right after a delivery, before the pump has come around to the next."""
    for ticks in range(20):
        async with Hub().running() as hub:
            here = Stage(hub)
            ada = await here.enter("news")
            hub.broadcast_nowait("news", "1")
            for _ in range(ticks % 4):
                await trio.lowlevel.checkpoint()
            hub.broadcast_nowait("news", "2")
        assert ada.got == ["1", "2"]
        here.leave()


async def test_a_hub_that_is_stopped_by_an_error_delivers_too() -> None:
    """An error in the block goes through, after the delivery."""
    hub = Hub()
    here = Stage(hub)
    with pytest.RaisesGroup(LookupError):
        async with hub.running():
            ada = await here.enter("news")
            hub.broadcast_nowait("news", "last")
            raise LookupError("the app has failed")
    assert ada.got == ["last"]
    here.leave()


async def test_a_hub_delivers_until_its_block_is_left() -> None:
    """Cancelling whoever runs it does not stop the pump under the feet of those who still say goodbye."""
    with trio.CancelScope() as scope:
        async with stage() as here:
            ada = await here.enter("news")
            scope.cancel()
            await wait_until_cancelled()
            with trio.CancelScope(shield=True):
                await here.hub.broadcast("news", "goodbye")
                await wait_all_tasks_blocked()
            assert ada.got == ["goodbye"]


async def wait_until_cancelled() -> None:
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        pass  # the test goes on under a shield, as an `on_disconnect` does


async def test_the_pump_does_not_miss_a_wake_up() -> None:
    """Publications that come right after a delivery, or after a receipt was read, are delivered too."""
    async with stage() as here:
        ada = await here.enter("news")
        expected: list[Message] = []
        for number in range(200):
            receipt = here.hub.broadcast_nowait("news", str(number))
            expected.append(str(number))
            if number % 3 == 0:
                repr(receipt)
            for _ in range(number % 5):
                await trio.lowlevel.checkpoint()
            if number % 7 == 0:
                await wait_all_tasks_blocked()
                assert ada.got == expected
        await wait_all_tasks_blocked()
        assert ada.got == expected


# Faults of one client's connection


class Broken(FakeClient):
    """A client whose connection has a bug."""

    def offer(self, encoded: list[Message], messages: int = 1) -> bool:
        raise LookupError("a bug below the hub")


class VeryBroken(Broken):
    """And one more in the way it ends."""

    def _close(self, code: int, reason: str, *, by_us: bool) -> None:
        raise LookupError("another bug below the hub")


@pytest.mark.parametrize("kind", [Broken, VeryBroken])
@pytest.mark.parametrize("excluding", [False, True], ids=["for all", "with somebody excluded"])
async def test_a_bug_in_one_connection_does_not_stop_the_hub(
    kind: type[FakeClient], excluding: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut off, it is logged, and everybody else gets the message."""
    hub = Hub()
    async with hub.running():
        here = Stage(hub)
        ada, broken, bob = await here.enter("news"), await here.enter("news", client=kind), await here.enter("news")
        for message in ("1", "2"):
            await hub.broadcast("news", message, exclude=bob.websocket if excluding else None)
            await wait_all_tasks_blocked()
        assert ada.got == ["1", "2"]
        assert bob.got == ([] if excluding else ["1", "2"])
        assert numbers(await hub.broadcast("news", "3")) == (2, 0, 0, 0)
        if kind is Broken:
            assert broken.close_code == CloseCode.INTERNAL_ERROR
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "inside the hub" in caplog.text
        assert "a bug below the hub" in caplog.text
        ada.leave()
        bob.leave()
        assert_empty(hub)


async def test_a_bug_in_one_connection_is_no_error_of_whoever_publishes(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """Reading a receipt delivers, but does not raise what went wrong with somebody else's connection."""
    app = App()

    @app.websocket("/{name}")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        await websocket.send_text("ready")
        async for text in websocket.iter_text():
            receipt = await app.hub.broadcast("news", text)
            await websocket.send_json(receipt.delivered)

    async with connect(app, "/ada") as ada:
        assert await ada.receive() == "ready"
        here = Stage(app.hub)
        broken = await here.enter("news", client=Broken)
        await ada.send("hello")
        assert [await ada.receive(), await ada.receive()] == ["hello", "1"]
        assert broken.mailbox is None
    assert len(caplog.records) == 1
