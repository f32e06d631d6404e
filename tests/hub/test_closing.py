"""What `Hub.aclose` waits for, and what is left of a hub that was closed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.hub.fakes import Stage, stage
from tests.hub.rooms import FROZEN, NARROW, Room, assert_empty
from wsframework import App, CloseCode, History, Hub, Limits, Position, WebSocket, WebSocketStateError
from wsframework.testing import connect


async def test_closing_waits_for_the_clients(make_room: Callable[..., Room], autojump_clock: MockClock) -> None:
    """It returns when the last of them has taken what was published before, and not sooner."""
    room = make_room()
    async with room.join("news", window=NARROW) as frozen, room.join("news") as ada, trio.open_nursery() as nursery:
        await frozen.freeze()
        for number in range(50):
            await room.hub.broadcast("news", str(number))
        closed = trio.Event()

        async def close() -> None:
            await room.hub.aclose()
            closed.set()

        nursery.start_soon(close)
        await wait_all_tasks_blocked()
        assert await ada.receive(50) == [str(number) for number in range(50)]
        assert not closed.is_set()
        with pytest.raises(WebSocketStateError, match="does not run"):
            await room.hub.broadcast("news", "too late")
        frozen.client.resume()
        assert await frozen.receive(51) == [FROZEN, *(str(number) for number in range(50))]
        await closed.wait()
        assert room.hub.statistics().behind == 0
        await ada.websocket.send_text("connections stay")
        assert await ada.client.receive() == "connections stay"


async def test_closing_waits_for_nobody_who_is_gone(make_room: Callable[..., Room], autojump_clock: MockClock) -> None:
    """A client that vanishes, and one whose connection is cut off for taking nothing, are waited for no longer."""
    room = make_room()
    async with room.join("news", window=NARROW) as frozen, room.join("news", window=NARROW) as vanishes:
        for member in (frozen, vanishes):
            await member.freeze()
        await room.hub.broadcast("news", "never taken")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(room.hub.aclose)
            await wait_all_tasks_blocked()
            vanishes.client.vanish()
        assert trio.current_time() == pytest.approx(Limits().write_timeout, abs=1)
        assert frozen.websocket.close_code is not None


async def test_closing_that_is_cancelled(make_room: Callable[..., Room], autojump_clock: MockClock) -> None:
    """Nothing more is published, and who is behind gets the rest when it reads again. To close again does nothing."""
    room = make_room()
    async with room.join("news", window=NARROW) as frozen:
        await frozen.freeze()
        await room.hub.broadcast("news", "before")
        with trio.move_on_after(1) as scope:
            await room.hub.aclose()
        assert scope.cancelled_caught
        with pytest.raises(WebSocketStateError):
            room.hub.broadcast_nowait("news", "after")
        await room.hub.aclose()
        frozen.client.resume()
        assert await frozen.receive(2) == [FROZEN, "before"]


async def test_closing_in_a_scope_that_is_cancelled() -> None:
    """There are no more publications, what is pending is delivered, and listeners end: it is closed all the same."""
    async with stage() as here, here.hub.listen("news") as publications:
        ada = await here.enter("news")
        here.hub.broadcast_nowait("news", "last")
        with trio.CancelScope() as scope:
            scope.cancel()
            await here.hub.aclose()
        assert scope.cancelled_caught
        with pytest.raises(WebSocketStateError, match="does not run"):
            here.hub.broadcast_nowait("news", "after")
        assert ada.got == ["last"]
        assert [publication.data async for publication in publications] == ["last"]


async def test_a_client_that_comes_while_the_hub_is_closed(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    """Its hook subscribes as always. It is turned away like a client of a server that stops, and that is no error."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await app.hub.subscribe(websocket, "news")
        await websocket.send_text("subscribed")
        await websocket.receive()

    async with connect(app) as early:
        assert await early.receive() == "subscribed"
        await app.hub.aclose()
        async with connect(app) as late:
            assert (await late.wait_closed()).code == CloseCode.SERVICE_RESTART
    assert caplog.records == []
    here = Stage(app.hub)
    with pytest.raises(WebSocketStateError, match="does not run"):  # now it is a mistake
        await here.enter("news")


async def test_closing_twice(autojump_clock: MockClock) -> None:
    """Who closes while it is being closed waits as long as the first, and gets no error if that one is cancelled."""
    async with stage() as here:
        ada = await here.enter("news")
        ada.stall()
        here.publish("news", "1")
        times: list[float] = []

        async def close() -> None:
            with trio.move_on_after(5):
                await here.hub.aclose()
            times.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(close)
            await trio.sleep(3)
            nursery.start_soon(close)
            await trio.sleep(1)
            assert times == []
        assert times == [5, 5]
        await here.hub.aclose()
        assert trio.current_time() == 5


async def test_closing_does_not_wait_for_a_connection_whose_end_has_begun(autojump_clock: MockClock) -> None:
    """A hook that goes on for long after it has closed its connection holds up nobody."""
    async with stage() as here:
        ada, bob = await here.enter("news"), await here.enter("news")
        for client in (ada, bob):
            client.stall()
        here.publish("news", "1")
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.hub.aclose)
                await trio.sleep(1)
                ada.cut_off(CloseCode.NORMAL_CLOSURE)  # and its session has not ended it yet
                await trio.sleep(1)
                bob.gone = True
                bob.cut_off(CloseCode.ABNORMAL_CLOSURE)
        assert trio.current_time() == 2


async def test_closing_waits_for_those_who_catch_up(autojump_clock: MockClock) -> None:
    """They get everything that they missed, at their pace, before it is forgotten."""
    async with stage(history=History(size=1000, max_bytes=10**7)) as here:
        messages = [str(number).ljust(1000) for number in range(1000)]
        here.publish("news", *messages)
        newest = await here.hub.latest("news")
        assert newest is not None
        ada = await here.enter()
        ada.room = 1
        recovered: list[bool] = []

        async def resume() -> None:
            since = Position(newest.position.epoch, 0)
            recovered.append((await here.hub.subscribe(ada.websocket, "news", since=since)).recovered)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(resume)
            await wait_all_tasks_blocked()
            nursery.start_soon(here.hub.aclose)
            for count in range(1, 10):
                await trio.sleep(1)
                assert len(ada.writes) == count
                ada.resume(room=1)
            ada.resume()
        assert ada.got == messages
        assert recovered == [True]


@pytest.mark.parametrize("closed", [False, True], ids=["its block is left", "it is closed"])
@pytest.mark.parametrize("gaps", [False, True])
async def test_a_listener_that_catches_up_gets_all_of_it(closed: bool, gaps: bool) -> None:
    """Also when the hub stops meanwhile, and what is remembered is forgotten."""
    hub = Hub(history=History(size=1000, max_bytes=10**7))
    async with AsyncExitStack() as stack:
        async with hub.running():
            for number in range(1000):
                hub.broadcast_nowait("news", str(number).ljust(1000))
            newest = await hub.latest("news")
            assert newest is not None
            since = Position(newest.position.epoch, 0)
            publications = await stack.enter_async_context(hub.listen("news", since=since, gaps=gaps))
            assert (await anext(publications)).data.strip() == "0"
            if closed:
                await hub.aclose()
        assert [publication.data.strip() async for publication in publications] == [str(n) for n in range(1, 1000)]
        assert publications.subscription.recovered
    assert_empty(hub)


async def test_closing_that_outlasts_the_run_leaves_the_next_one_alone(autojump_clock: MockClock) -> None:
    """What the next one remembers is not forgotten when the clients of the former have taken everything."""
    hub = Hub(history=History())
    here = Stage(hub)
    async with trio.open_nursery() as nursery:
        async with hub.running():
            ada = await here.enter("news")
            ada.stall()
            here.publish("news", "1")
            nursery.start_soon(hub.aclose)
            await wait_all_tasks_blocked()
        async with hub.running():
            here.publish("news", "2")
            ada.resume()
            await wait_all_tasks_blocked()
            assert [each.data for each in await hub.history("news")] == ["2"]
    here.leave()
    assert_empty(hub)


async def test_listeners_end_when_the_hub_is_closed() -> None:
    """They have everything that was published before, however late they take it; it is not waited for."""
    async with Hub().running() as hub, hub.listen("news") as publications:
        for number in range(3):
            await hub.broadcast("news", number)
        await hub.aclose()
        assert [publication.data async for publication in publications] == ["0", "1", "2"]
        with pytest.raises(ValueError, match="running already"):
            async with hub.running():
                pass  # pragma: no cover - it raises
    async with hub.running():
        await hub.broadcast("news", "it can run again")
