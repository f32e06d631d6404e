"""Tasks that an endpoint starts for its client: they live in the connection's nursery and end with it."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from wsframework import WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import connect


async def test_a_child_runs_beside_the_hooks(autojump_clock: MockClock) -> None:
    """A child sends while the hooks receive; it gets its arguments."""

    class Clock(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick, "tick", 10)

        async def tick(self, word: str, seconds: float) -> None:
            while True:
                await trio.sleep(seconds)
                await self.websocket.send_text(word)

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(data)

    async with connect(Clock, deadline=11) as client:
        assert await client.receive() == "tick"
        await client.send("hello")
        assert await client.receive() == "hello"
        assert await client.receive() == "tick"


async def test_a_child_closes_the_connection_while_a_hook_hangs(autojump_clock: MockClock) -> None:
    """The hook did not ask for the end, so it gets its grace, as when the client leaves."""
    events: list[object] = []

    class Guarded(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.guard)

        async def guard(self) -> None:
            await trio.sleep(5)
            await self.websocket.close(4001, "time is up")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                await trio.sleep(3600)
            finally:
                events.append(trio.current_time() - began)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    began = trio.current_time()
    async with connect(Guarded, deadline=10) as client:
        await client.send("hello")
        assert (await client.wait_closed()).code == 4001
    assert events == [pytest.approx(6), 4001]


async def test_a_hook_that_closes_may_finish(autojump_clock: MockClock) -> None:
    """Who closes the connection knows that it ends, and takes the time it needs."""
    events: list[str] = []

    class Thorough(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.close()
            await trio.sleep(30)
            events.append("tidied up")

    async with connect(Thorough) as client:
        await client.send("hello")
        await client.wait_closed()
    assert events == ["tidied up"]


async def test_a_child_that_returns(autojump_clock: MockClock) -> None:
    """A child that is done ends nothing but itself; the same holds for one whose nursery it was not started in."""

    class Short(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            self.start_soon(websocket.send_text, data)

    async with connect(Short) as client:
        for word in ("one", "two"):
            await client.send(word)
            assert await client.receive() == word


async def test_children_start_children(autojump_clock: MockClock) -> None:
    """They are all the connection's, and end with it."""
    ended: list[int] = []

    class Family(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.live, 3)

        async def live(self, generations: int) -> None:
            if generations:
                self.start_soon(self.live, generations - 1)
            try:
                await trio.sleep_forever()
            finally:
                ended.append(generations)

    async with connect(Family):
        await trio.testing.wait_all_tasks_blocked()
    assert sorted(ended) == [0, 1, 2, 3]


async def test_a_child_that_raises(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An error in a child closes with 1011, cancels the running hook and the other children, and is logged once."""
    events: list[Any] = []

    class Parent(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.sleep, "child")
            self.start_soon(self.fail)
            await self.sleep("hook")

        async def sleep(self, name: str) -> None:
            try:
                await trio.sleep_forever()
            finally:
                events.append(name)

        async def fail(self) -> None:
            await trio.sleep(0.5)
            raise ZeroDivisionError

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    with pytest.raises(ZeroDivisionError):
        async with connect(Parent) as client:
            assert (await client.wait_closed()).code == 1011
    assert sorted(events[:2]) == ["child", "hook"]
    assert events[2:] == [1011]
    [record] = caplog.records
    assert "Parent at '/'" in record.message


async def test_a_disconnect_is_a_childs_normal_end(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """A child that sends to a client that is gone gets WebSocketDisconnect, or is cancelled; both are no errors."""

    class Parent(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            self.start_soon(self.leave)

        async def leave(self) -> None:
            raise WebSocketDisconnect(4000)

    async with connect(Parent) as client:
        await client.send("")
        await client.receive_nothing()
        await client.close()
    assert caplog.records == []


async def test_a_child_receives(autojump_clock: MockClock) -> None:
    """on_connect that never returns may leave receiving to a child. Bad data there closes with 1003."""

    class Parent(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.read)
            await trio.sleep_forever()

        async def read(self) -> None:
            async for text in self.websocket.iter_text():
                await self.websocket.send_text(text)

    async with connect(Parent) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
        await client.send(b"hello")
        assert (await client.wait_closed()).code == 1003


async def test_two_receive_at_once(autojump_clock: MockClock) -> None:
    """Receiving beside the endpoint's own loop is a mistake, and says so."""

    class Greedy(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(websocket.receive_text)

    with pytest.raises(trio.BusyResourceError, match="another task is already receiving"):
        async with connect(Greedy) as client:
            assert (await client.wait_closed()).code == 1011


async def test_a_child_closes(autojump_clock: MockClock) -> None:
    """close() in a child ends the loop and the children; on_disconnect gets its code."""
    events: list[Any] = []

    class Timed(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.limit)
            self.start_soon(self.sleep)

        async def limit(self) -> None:
            await trio.sleep(5)
            await self.websocket.close(4008, "time is up")

        async def sleep(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                events.append("child")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append((close_code, websocket.close_reason))

    async with connect(Timed, deadline=6) as client:
        assert (await client.wait_closed()).reason == "time is up"
    assert events == ["child", (4008, "time is up")]


async def test_started_too_late(autojump_clock: MockClock) -> None:
    """A child that a hook starts in its grace is cancelled before it does anything that waits."""
    ran: list[str] = []

    class Late(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.5)
            self.start_soon(self.work)
            await trio.sleep(0.1)
            ran.append("hook")

        async def work(self) -> None:
            await trio.lowlevel.checkpoint()
            ran.append("child")

    async with connect(Late) as client:
        await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        await client.close()
    assert ran == ["hook"]


async def test_started_too_early() -> None:
    """In a constructor there is no nursery yet, and start_soon says where there is one."""

    class Early(WebSocketEndpoint):
        def __init__(self, scope, receive, send):  # type: ignore[no-untyped-def]
            super().__init__(scope, receive, send)
            self.start_soon(trio.sleep_forever)

    with pytest.raises(RuntimeError, match="not begun: start its tasks in on_connect"):
        async with connect(Early):
            pass


async def test_starting_a_coroutine(autojump_clock: MockClock) -> None:
    """`start_soon(f(x))` for `start_soon(f, x)` is a mistake that everybody makes once; it says so."""

    class Mistaken(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick(1))  # type: ignore[arg-type]

        async def tick(self, seconds: float) -> None:
            await trio.sleep(seconds)

    with pytest.raises(TypeError, match=r"start_soon\(tick, \.\.\.\).*not.*start_soon\(tick\(\.\.\.\)\)"):
        async with connect(Mistaken) as client:
            assert (await client.wait_closed()).code == 1011
