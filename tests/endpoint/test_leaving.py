"""When the client leaves: what it had sent is delivered, children go at once, a hook that runs gets its grace."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from tests.endpoint.leaving import leaves, vanish
from wsframework import WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import Client, connect

HOUR = 3600.0


@leaves
async def test_what_was_sent_before_is_delivered(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """A client that sends and leaves at once is heard to its last message, in order, however slow the hook is."""
    heard: list[object] = []

    class Slow(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.5)
            heard.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            heard.append(close_code)

    async with connect(Slow, deadline=100) as client:
        for number in range(40):
            await client.send(str(number))
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert heard == [*map(str, range(40)), code]


async def test_replies_still_reach_a_client_that_said_goodbye(autojump_clock: MockClock) -> None:
    """A close frame does not cut off the answers to what came before it; only then does sending end."""
    sent: list[str] = []

    class Echo(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.1)
            await websocket.send_text(data)
            sent.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            with pytest.raises(WebSocketDisconnect, match=r"1000 \(normal closure\)"):
                await websocket.send_text("too late")

    async with connect(Echo, deadline=100) as client:
        for number in range(10):
            await client.send(str(number))
        await client.close()
    assert sent == [str(number) for number in range(10)]


@leaves
async def test_a_hook_that_cannot_answer_does_not_stop_the_next(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """WebSocketDisconnect from a send ends that on_receive; the messages behind it are delivered all the same."""
    heard: list[str] = []

    class Answering(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)
            await trio.sleep(0.1)
            await websocket.send_text("and what is that to me?")

    async with connect(Answering, deadline=100) as client:
        for word in ("one", "two", "three"):
            await client.send(word)
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert heard == ["one", "two", "three"]


@leaves
async def test_a_hook_gets_its_grace(leave: Callable[[Client], object], code: int, autojump_clock: MockClock) -> None:
    """A hook that needs a little longer than its client stays is not cancelled."""
    finished: list[float] = []

    class Saving(WebSocketEndpoint):
        disconnect_grace = 2.0

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(1.9)
            finished.append(trio.current_time())

    async with connect(Saving, deadline=100) as client:
        await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert len(finished) == 1


@leaves
@pytest.mark.parametrize("grace", [0.0, 1.0, 7.0])
async def test_a_hook_is_cancelled_after_its_grace(
    grace: float, leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """A peer that leaves while on_receive sleeps for an hour ends it within disconnect_grace."""
    ended: list[float] = []
    codes: list[int] = []

    class Sleepy(WebSocketEndpoint):
        disconnect_grace = grace

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                await trio.sleep(HOUR)
            finally:
                ended.append(trio.current_time() - left)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Sleepy, deadline=100) as client:
        await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        left = trio.current_time()
        await leave(client)
    assert ended == [pytest.approx(grace)]
    assert codes == [code]


@leaves
async def test_each_message_gets_its_grace(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """Grace is for each message: a hook that hangs is cancelled, and what came behind is not waited for any more."""
    heard: list[str] = []

    class Choosy(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)
            await trio.sleep(float(data))

    async with connect(Choosy, deadline=100) as client:
        for seconds in ("0.9", "0.8", "0.7", "3600", "0"):
            await client.send(seconds)
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert heard == ["0.9", "0.8", "0.7", "3600"]


@leaves
async def test_leaving_while_on_connect_is_busy(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """on_connect has the same grace, and on_disconnect runs."""
    events: list[object] = []

    class Loading(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            try:
                await trio.sleep(HOUR)
            finally:
                events.append(trio.current_time() - left)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    async with connect(Loading, deadline=100) as client:
        left = trio.current_time()
        await leave(client)
    assert events == [pytest.approx(1.0), code]


@leaves
async def test_children_are_cancelled_at_once(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """A child ends the moment its client leaves, although a hook still has its grace."""
    ended: dict[str, float] = {}

    class Parent(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick)

        async def tick(self) -> None:
            try:
                await trio.sleep(HOUR)
            finally:
                ended["child"] = trio.current_time() - left

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                await trio.sleep(HOUR)
            finally:
                ended["hook"] = trio.current_time() - left

    async with connect(Parent, deadline=100) as client:
        await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        left = trio.current_time()
        await leave(client)
    assert ended == {"child": pytest.approx(0.0), "hook": pytest.approx(1.0)}


@leaves
async def test_a_child_only_sends_and_nobody_receives(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """A stock ticker: on_connect never returns, a child sends for ever. The client's leaving ends both."""
    events: list[object] = []

    class Ticker(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick)
            await trio.sleep_forever()

        async def tick(self) -> None:
            try:
                while True:
                    await self.websocket.send_text("tick")
                    await trio.sleep(1)
            finally:
                events.append("child")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append((close_code, trio.current_time() - left))

    async with connect(Ticker, deadline=100) as client:
        for _ in range(3):
            assert await client.receive() == "tick"
        left = trio.current_time()
        await leave(client)
    assert events == ["child", (code, pytest.approx(1.0))]


@leaves
async def test_leaving_behind_a_full_inbox(
    leave: Callable[[Client], object], code: int, autojump_clock: MockClock
) -> None:
    """A client that leaves when more than the server may buffer is on its way is noticed, and heard to the end."""
    heard: list[str] = []

    class Busy(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.25)
            heard.append(data)

    async with connect(Busy, deadline=1000) as client:
        for number in range(300):
            await client.send(str(number))
        if leave is vanish:  # what a reset throws away was never ours
            await trio.sleep(100)
        await leave(client)
    assert heard == [str(number) for number in range(300)]


async def test_cancelling_one_receive_loses_nothing(autojump_clock: MockClock) -> None:
    """A hook may wait for the next message itself, for a while; whatever it does not take, on_receive gets."""
    heard: list[str] = []

    class Dialogue(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)
            with trio.move_on_after(1):
                heard.append("+" + await websocket.receive_text())

    async with connect(Dialogue) as client:
        for pause, word in ((0.5, "a"), (0.5, "b"), (1.5, "c"), (1.5, "d")):
            await trio.sleep(pause)
            await client.send(word)
    assert heard == ["a", "+b", "c", "d"]


@leaves
async def test_nobody_else_is_touched(leave: Callable[[Client], object], code: int, autojump_clock: MockClock) -> None:
    """When one client leaves, another one's hooks and children go on."""

    class Echo(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            self.start_soon(self.tick)

        async def tick(self) -> None:
            while True:
                await trio.sleep(10)
                await self.websocket.send_text("tick")

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(5)
            await websocket.send_text(data)

    async with connect(Echo, deadline=100) as stays:
        async with connect(Echo, deadline=100) as goes:
            await stays.send("still here")
            await goes.send("gone")
            await trio.testing.wait_all_tasks_blocked()
            await leave(goes)
        assert await stays.receive() == "still here"
        assert await stays.receive() == "tick"
