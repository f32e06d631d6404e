"""The client of a test: every wait has a deadline that says what was awaited, and every mistake a sentence."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from wsframework import WebSocket, WebSocketDisconnect, WebSocketEndpoint
from wsframework.testing import Client, NothingReceived, connect


class Echo(WebSocketEndpoint):
    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if data == "close":
            await websocket.close(4000, "off")
        await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))


async def test_kinds_of_messages(autojump_clock: MockClock) -> None:
    """Text, bytes and JSON go out and come in."""
    async with connect(Echo) as client:
        await client.send("a")
        await client.send(b"b")
        await client.send_text("c")
        await client.send_bytes(b"d")
        await client.send_json({"e": [None]})
        assert await client.receive() == "a"
        assert await client.receive() == b"b"
        assert await client.receive_text() == "c"
        assert await client.receive_bytes() == b"d"
        assert await client.receive_json() == {"e": [None]}


@pytest.mark.parametrize(
    ("receive", "awaited"),
    [
        (Client.receive, "a message"),
        (Client.receive_text, "a text message"),
        (Client.receive_bytes, "a binary message"),
        (Client.receive_json, "JSON"),
        (Client.wait_closed, "the end of the connection"),
    ],
)
async def test_deadlines(receive: Callable[[Client], Awaitable[Any]], awaited: str, autojump_clock: MockClock) -> None:
    """A wait ends after a second, or after `deadline`, and says what did not come, and how much came before."""
    async with connect(Echo, "/room") as client:
        began = trio.current_time()
        with pytest.raises(NothingReceived, match=f"^/room: waited 1 s for {awaited}; 0 messages came before$"):
            await receive(client)
        assert trio.current_time() - began == pytest.approx(1)
        await client.send("hello")
        await client.receive()
        client.deadline = 2.5
        with pytest.raises(NothingReceived, match=f"waited 2.5 s for {awaited}; 1 messages came before"):
            await receive(client)
        assert trio.current_time() - began == pytest.approx(3.5)


async def test_nothing_received_is_a_failed_assertion(autojump_clock: MockClock) -> None:
    """pytest shows it as a failed test, not as an error in one."""
    async with connect(Echo) as client:
        with pytest.raises(AssertionError):
            await client.receive()


async def test_an_own_deadline(autojump_clock: MockClock) -> None:
    """A deadline of the test's own that is earlier is raised as Trio's."""
    async with connect(Echo) as client:
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(0.5):
                await client.receive()
        await client.send("still fine")
        assert await client.receive() == "still fine"


async def test_waiting_for_an_end_that_does_not_come(autojump_clock: MockClock) -> None:
    """wait_closed has one deadline for all, so an application that sends for ever does not hold it for ever."""

    class Ticker(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()
            while True:
                await websocket.send_text("tick")
                await trio.sleep(0.3)

    async with connect(Ticker) as client:
        with pytest.raises(NothingReceived, match="waited 1 s for the end of the connection; 4 messages came before"):
            await client.wait_closed()


@pytest.mark.parametrize(
    ("receive", "message", "words"),
    [
        (Client.receive_text, b"x", "^/: expected a text message and received b'x'$"),
        (Client.receive_bytes, "x", "^/: expected a binary message and received 'x'$"),
        (Client.receive_json, "{", "^/: expected JSON and received '{': Input data was truncated$"),
        (Client.receive_json, "x" * 1000, r"received 'x{199}… \(1000 in all\): JSON is malformed"),
    ],
)
async def test_another_kind_of_message(
    receive: Callable[[Client], Awaitable[Any]], message: str | bytes, words: str, autojump_clock: MockClock
) -> None:
    """A message of another kind than expected is a failed assertion that shows it."""
    async with connect(Echo) as client:
        await client.send(message)
        with pytest.raises(AssertionError, match=words):
            await receive(client)


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda client: client.send(1), "send takes a string or bytes, not int; there is send_json"),
        (lambda client: client.send(None), "not NoneType"),
        (lambda client: client.send_text(b""), "send_text takes a string, not bytes; there is send_bytes"),
        (lambda client: client.send_bytes(""), "send_bytes takes bytes, not str; there is send_text"),
        (lambda client: client.send_json(object()), "object"),
    ],
)
async def test_sending_what_cannot_be_sent(
    send: Callable[[Client], Awaitable[None]], words: str, autojump_clock: MockClock
) -> None:
    """A value of the wrong kind is a TypeError, and nothing is sent."""
    async with connect(Echo) as client:
        with pytest.raises(TypeError, match=words):
            await send(client)
        await client.receive_nothing()


async def test_receive_nothing(autojump_clock: MockClock) -> None:
    """It takes the time it is given, fails on a message, and tells of the end."""
    async with connect(Echo) as client:
        began = trio.current_time()
        await client.receive_nothing()
        await client.receive_nothing(5)
        assert trio.current_time() - began == pytest.approx(5.1)
        await client.send("hello")
        with pytest.raises(AssertionError, match="^/: expected nothing for 0.1 s and received 'hello'$") as error:
            await client.receive_nothing()
        assert not isinstance(error.value, NothingReceived)
        await client.send("close")
        with pytest.raises(WebSocketDisconnect, match="4000"):
            await client.receive_nothing()


async def test_the_end_by_the_application(autojump_clock: MockClock) -> None:
    """Every call then raises WebSocketDisconnect with code and reason; what came before is received first."""
    async with connect(Echo) as client:
        await client.send("before")
        await client.send("close")
        await wait_all_tasks_blocked()
        assert await client.receive() == "before"
        calls: list[Callable[[], Awaitable[Any]]] = [
            client.receive,
            client.receive_text,
            client.receive_bytes,
            client.receive_json,
            client.receive_nothing,
            lambda: client.send("late"),
        ]
        for call in calls:
            with pytest.raises(WebSocketDisconnect) as end:
                await call()
            assert (end.value.code, end.value.reason) == (4000, "off")
        for _ in range(2):
            end_again = await client.wait_closed()
            assert (end_again.code, end_again.reason) == (4000, "off")
        await client.close()


async def test_closing(autojump_clock: MockClock) -> None:
    """close says code and reason and waits for the answer; it can be called twice."""
    ends: list[Any] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            ends.append((close_code, websocket.close_reason))

    async with connect(Endpoint) as client:
        await client.close(4000, "off")
        await client.close(4001)
        with pytest.raises(WebSocketDisconnect):
            await client.receive()
        with pytest.raises(WebSocketDisconnect):
            await client.send("late")
    assert ends == [(4000, "off")]


async def test_no_answer_to_the_close_frame(autojump_clock: MockClock) -> None:
    """An application answers behind the messages that came before; if that is too late, the client says so."""

    class Busy(WebSocketEndpoint):
        disconnect_grace = 5.0

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await trio.sleep(3)

    async with connect(Busy) as client:
        await client.send("one")
        await client.send("two")
        await wait_all_tasks_blocked()
        with pytest.raises(NothingReceived, match="waited 1 s for the answer to the close frame"):
            await client.close()


async def test_no_room_to_send(autojump_clock: MockClock) -> None:
    """An application that does not receive fills its inbox and then the window; the send that waits fails by name."""

    class Busy(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: bytes) -> None:
            await free.wait()

    free = trio.Event()
    async with connect(Busy, window=1000) as client:
        with pytest.raises(NothingReceived, match="^/: waited 1 s for room to send; 0 messages came before$"):
            for _ in range(1000):
                await client.send(bytes(900))
        free.set()


async def test_stalling(autojump_clock: MockClock) -> None:
    """A stalled client gets nothing until it resumes; then it gets everything."""
    async with connect(Echo) as client:
        await client.send("one")
        assert await client.receive() == "one"
        client.stall()
        await client.send("two")
        await client.receive_nothing(1)
        client.resume()
        assert await client.receive() == "two"


async def test_vanishing(autojump_clock: MockClock) -> None:
    """A client that vanishes is gone for the application at once, with 1006, and can do nothing any more."""
    ends: list[Any] = []

    class Endpoint(WebSocketEndpoint):
        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            ends.append((close_code, trio.current_time()))

    async with connect(Endpoint) as client:
        client.vanish()
        vanished = trio.current_time()
        await wait_all_tasks_blocked()
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await client.receive()
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await client.send("late")
        client.vanish()
    assert ends == [(1006, vanished)]
