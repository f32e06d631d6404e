"""`concurrency = n`: up to n on_receive of one connection at once, and the same promises as one by one."""

from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.endpoint.leaving import leaves
from wsframework import WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import Client, connect

HOUR = 3600.0


@pytest.mark.parametrize("most", [2, 3, 10])
async def test_so_many_at_once(most: int, autojump_clock: MockClock) -> None:
    """Never more than `concurrency` run, and so many do when there is work; every message is handled."""
    running, peak, heard = 0, 0, []

    class Parallel(WebSocketEndpoint):
        concurrency = most

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            nonlocal running, peak
            running += 1
            peak = max(peak, running)
            await trio.sleep(1)
            running -= 1
            heard.append(data)

    async with connect(Parallel, deadline=100) as client:
        for number in range(20):
            await client.send(str(number))
        await trio.sleep(30)
    assert peak == most
    assert sorted(heard, key=int) == [str(number) for number in range(20)]


async def test_a_quick_one_overtakes(autojump_clock: MockClock) -> None:
    """That is the price: answers come in the order in which they are ready."""

    class Parallel(WebSocketEndpoint):
        concurrency = 2

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(float(data))
            await websocket.send_text(data)

    async with connect(Parallel, deadline=10) as client:
        for seconds in ("3", "2", "0.5"):
            await client.send(seconds)
        assert [await client.receive() for _ in range(3)] == ["2", "0.5", "3"]


@leaves
async def test_what_was_sent_before_is_delivered(
    leave: Callable[[Client], Any], code: int, autojump_clock: MockClock
) -> None:
    """Everything that was sent before the client left is handed out, and each of those hooks gets its grace."""
    heard: list[Any] = []

    class Parallel(WebSocketEndpoint):
        concurrency = 3

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.9)
            heard.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            heard.append(close_code)

    async with connect(Parallel, deadline=100) as client:
        for number in range(20):
            await client.send(str(number))
        await trio.testing.wait_all_tasks_blocked()
        await leave(client)
    assert heard[-1] == code
    assert sorted(heard[:-1], key=int) == [str(number) for number in range(20)]


@leaves
async def test_hooks_are_cancelled_after_their_grace(
    leave: Callable[[Client], Any], code: int, autojump_clock: MockClock
) -> None:
    """All hooks that run when the client leaves end within disconnect_grace, then on_disconnect runs, once."""
    ended: list[float] = []
    codes: list[int] = []

    class Sleepy(WebSocketEndpoint):
        concurrency = 5

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            try:
                await trio.sleep(HOUR)
            finally:
                ended.append(trio.current_time() - left)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            codes.append(close_code)

    async with connect(Sleepy, deadline=100) as client:
        for _ in range(4):
            await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        left = trio.current_time()
        await leave(client)
    assert ended == [pytest.approx(1.0)] * 4
    assert codes == [code]


async def test_answers_still_reach_a_client_that_said_goodbye(autojump_clock: MockClock) -> None:
    """The close frame is answered when the hooks that were running have sent what they had to say."""
    sent: list[str] = []

    class Parallel(WebSocketEndpoint):
        concurrency = 3

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.5)
            await websocket.send_text(data)
            sent.append(data)

    async with connect(Parallel, deadline=100) as client:
        for number in range(7):
            await client.send(str(number))
        await client.close()
    assert sorted(sent) == [str(number) for number in range(7)]


async def test_one_error_ends_the_connection_once(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The first hook that raises closes with 1011 and cancels the others; on_disconnect runs once."""
    events: list[Any] = []

    class Fragile(WebSocketEndpoint):
        concurrency = 3

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            if data == "break":
                raise ZeroDivisionError
            try:
                await trio.sleep(HOUR)
            finally:
                events.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            events.append(close_code)

    with pytest.raises(ZeroDivisionError):
        async with connect(Fragile) as client:
            for word in ("one", "two", "break", "three"):
                await client.send(word)
            assert (await client.wait_closed()).code == 1011
    assert sorted(events[:-1]) == ["one", "two"]
    assert events[-1] == 1011
    assert len(caplog.records) == 1


async def test_bad_data_closes(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """Data that does not fit the encoding closes with 1007; hooks that run have their grace to finish."""
    heard: list[Any] = []

    class Parallel(WebSocketEndpoint):
        concurrency = 3
        encoding = "json"

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            await trio.sleep(0.5)
            heard.append(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            heard.append(close_code)

    async with connect(Parallel) as client:
        for message in ("1", "}", "3"):
            await client.send(message)
        assert (await client.wait_closed()).code == 1007
    assert heard == [1, 1007]
    assert caplog.records == []


async def test_closing_from_a_hook(autojump_clock: MockClock) -> None:
    """After close() in one of them no more messages are handed out, and on_disconnect gets the code we sent."""
    heard: list[Any] = []

    class Parallel(WebSocketEndpoint):
        concurrency = 2

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)
            if data == "stop":
                await websocket.close(4000)
            await trio.sleep(0.1)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            heard.append(close_code)

    async with connect(Parallel) as client:
        for message in ("go", "stop", "on", "and on"):
            await client.send(message)
        assert (await client.wait_closed()).code == 4000
    assert heard == ["go", "stop", 4000]


async def test_a_hook_that_cannot_answer(autojump_clock: MockClock) -> None:
    """WebSocketDisconnect ends that one on_receive, and is no error."""
    told: list[int] = []

    class Answering(WebSocketEndpoint):
        concurrency = 2

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(0.1)
            try:
                await websocket.send_text("too late")
            except WebSocketDisconnect as end:
                told.append(end.code)
                raise

    async with connect(Answering) as client:
        for _ in range(3):
            await client.send("")
        await trio.testing.wait_all_tasks_blocked()
        client.vanish()
    assert told == [1006, 1006, 1006]


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", None])
def test_wrong_concurrency(wrong: Any) -> None:
    """A concurrency that cannot be is found where the class is written."""
    with pytest.raises(ValueError, match=r"Wrong\.concurrency is an integer from 1, not"):
        type("Wrong", (WebSocketEndpoint,), {"concurrency": wrong})
