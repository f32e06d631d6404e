"""WebSocket: messages in and out, with Starlette's names."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from wsframework import App, InvalidData, WebSocket, WebSocketDisconnect
from wsframework.testing import connect

Function = Callable[[WebSocket], Awaitable[None]]


def serve(function: Function, *, accept: bool = True) -> App:
    """An app whose only endpoint accepts and calls the function."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        if accept:
            await websocket.accept()
        await function(websocket)

    return app


async def test_text(autojump_clock: MockClock) -> None:
    """Text arrives as a string and leaves as a string, the empty one too."""

    async def echo(websocket: WebSocket) -> None:
        while True:
            await websocket.send_text(await websocket.receive_text())

    async with connect(serve(echo)) as client:
        for text in ("hello", "", "größer 𝄞", "x" * 70_000):
            await client.send(text)
            assert await client.receive_text() == text


async def test_bytes(autojump_clock: MockClock) -> None:
    """Binary data arrives as bytes and leaves from anything like bytes, the empty one too."""

    async def echo(websocket: WebSocket) -> None:
        while True:
            data = await websocket.receive_bytes()
            assert type(data) is bytes
            await websocket.send_bytes(data)
            await websocket.send_bytes(bytearray(data))
            await websocket.send_bytes(memoryview(data))

    async with connect(serve(echo)) as client:
        for data in (b"hello", b"", b"\0\xff" * 40_000):
            await client.send(data)
            assert [await client.receive_bytes() for _ in range(3)] == [data] * 3


@dataclass
class Point:
    x: int


class Tagged(msgspec.Struct, tag=True):
    x: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "ä"]}, '{"a":[1,2.5,null,true,"ä"]}'),
        ("", '""'),
        (None, "null"),
        (Point(1), '{"x":1}'),
        (Tagged(1), '{"type":"Tagged","x":1}'),
    ],
)
async def test_sending_json(value: Any, text: str, autojump_clock: MockClock) -> None:
    """JSON goes out compact, as text or with mode="binary" as bytes; dataclasses and Structs too."""

    async def send(websocket: WebSocket) -> None:
        await websocket.send_json(value)
        await websocket.send_json(value, mode="text")
        await websocket.send_json(value, mode="binary")

    async with connect(serve(send)) as client:
        assert [await client.receive() for _ in range(3)] == [text, text, text.encode()]


async def test_receiving_json(autojump_clock: MockClock) -> None:
    """JSON comes in from text, or from bytes with mode="binary"."""
    heard: list[Any] = []

    async def receive(websocket: WebSocket) -> None:
        heard.append(await websocket.receive_json())
        heard.append(await websocket.receive_json(mode="binary"))

    async with connect(serve(receive)) as client:
        await client.send('{"a": 1}')
        await client.send(b"[1]")
        await client.wait_closed()
    assert heard == [{"a": 1}, [1]]


@pytest.mark.parametrize(
    ("receive", "message", "code", "words"),
    [
        (WebSocket.receive_text, b"", 1003, "takes text messages"),
        (WebSocket.receive_bytes, "", 1003, "takes binary messages"),
        (WebSocket.receive_json, b"{}", 1003, "takes text messages"),
        (lambda websocket: websocket.receive_json("binary"), "{}", 1003, "takes binary messages"),
        (WebSocket.receive_json, "", 1007, "truncated"),
        (WebSocket.receive_json, "{'a': 1}", 1007, "malformed"),
    ],
)
async def test_receiving_what_does_not_fit(
    receive: Callable[[WebSocket], Awaitable[Any]],
    message: str | bytes,
    code: int,
    words: str,
    autojump_clock: MockClock,
) -> None:
    """A message of the wrong kind raises InvalidData with its close code. It is used up, so one can go on."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(InvalidData, match=words) as error:
            await receive(websocket)
        assert error.value.code == code
        await websocket.send_text(await websocket.receive_text())

    async with connect(serve(endpoint)) as client:
        await client.send(message)
        await client.send("next")
        assert await client.receive() == "next"


async def test_iterating(autojump_clock: MockClock) -> None:
    """Each iterator gives its kind of message and ends by itself when the client leaves."""
    heard: list[Any] = []
    kinds: list[tuple[Callable[[WebSocket], Any], list[Any], list[Any]]] = [
        (WebSocket.iter_text, ["one", ""], ["one", ""]),
        (WebSocket.iter_bytes, [b"one", b""], [b"one", b""]),
        (WebSocket.iter_json, ["1", "null"], [1, None]),
        (lambda websocket: websocket.iter_json("binary"), [b"1", b"null"], [1, None]),
    ]
    for iterate, messages, expected in kinds:
        heard.clear()

        async def endpoint(websocket: WebSocket, iterate: Callable[[WebSocket], Any] = iterate) -> None:
            iterator = iterate(websocket)
            assert aiter(iterator) is iterator
            async for message in iterator:
                heard.append(message)
            heard.append("end")
            with pytest.raises(StopAsyncIteration):
                await anext(iterator)

        async with connect(serve(endpoint)) as client:
            for message in messages:
                await client.send(message)
        assert heard == [*expected, "end"]


@pytest.mark.parametrize("mode", ["txt", "", "Binary", None])
async def test_wrong_mode(mode: Any, autojump_clock: MockClock) -> None:
    """A mode that does not exist is a ValueError, before anything is sent or received."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(ValueError, match='mode is "text" or "binary", not'):
            await websocket.send_json({}, mode)
        with pytest.raises(ValueError, match='mode is "text" or "binary", not'):
            await websocket.receive_json(mode)
        with pytest.raises(ValueError, match='mode is "text" or "binary", not'):
            websocket.iter_json(mode)
        await websocket.send_text(await websocket.receive_text())

    async with connect(serve(endpoint)) as client:
        await client.send("still there")
        assert await client.receive() == "still there"
        assert (await client.wait_closed()).code == 1000


@pytest.mark.parametrize(
    ("send", "words"),
    [
        (lambda websocket: websocket.send_text(b"x"), "send_text takes a string, not bytes; there is send_bytes"),
        (lambda websocket: websocket.send_text(None), "send_text takes a string, not NoneType"),
        (lambda websocket: websocket.send_text({"a": 1}), "not dict; there is send_bytes and send_json"),
        (lambda websocket: websocket.send_bytes("x"), "send_bytes takes bytes, not str; there is send_text"),
        (lambda websocket: websocket.send_bytes(5), "send_bytes takes bytes, not int"),
        (lambda websocket: websocket.send_bytes([1, 2]), "send_bytes takes bytes, not list"),
        (lambda websocket: websocket.send_bytes(None), "send_bytes takes bytes, not NoneType"),
        (lambda websocket: websocket.send_json(object()), "object"),
    ],
)
async def test_sending_what_cannot_be_sent(
    send: Callable[[WebSocket], Awaitable[None]], words: str, autojump_clock: MockClock
) -> None:
    """A value of the wrong kind is a TypeError that says what to call, and nothing is sent."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(TypeError, match=words):
            await send(websocket)
        await websocket.send_text("the next")

    async with connect(serve(endpoint)) as client:
        assert await client.receive() == "the next"


async def test_before_accept(autojump_clock: MockClock) -> None:
    """Messages before accept are a mistake that says what to call."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(RuntimeError, match="send before accept: call `await websocket.accept"):
            await websocket.send_text("early")
        with pytest.raises(RuntimeError, match="receive before accept: call `await websocket.accept"):
            await websocket.receive_text()
        await websocket.accept()
        await websocket.send_text("now")

    async with connect(serve(endpoint, accept=False)) as client:
        assert await client.receive() == "now"


@pytest.mark.parametrize("way", ["close", "vanish", "us"])
async def test_after_the_end(way: str, autojump_clock: MockClock) -> None:
    """Every receive and every send raises WebSocketDisconnect with the code and reason of the end, again and again."""
    ended = False

    async def endpoint(websocket: WebSocket) -> None:
        nonlocal ended
        if way == "us":
            await websocket.close(4001, "out")
        else:
            await websocket.receive_text()
        calls: list[Callable[[], Awaitable[Any]]] = [
            websocket.receive_text,
            websocket.receive_bytes,
            websocket.receive_json,
            lambda: websocket.receive_json("binary"),
            lambda: websocket.send_text(""),
            lambda: websocket.send_bytes(b""),
            lambda: websocket.send_json(None),
            lambda: websocket.send({"type": "websocket.send", "text": ""}),
        ]
        for call in calls * 2:
            with pytest.raises(WebSocketDisconnect) as end:
                await call()
            assert (end.value.code, end.value.reason) == expected
        assert websocket.close_code == expected[0]
        await websocket.close(4002)
        assert (websocket.close_code, websocket.close_reason) == expected
        assert (await websocket.receive())["code"] == expected[0]
        ended = True

    expected = {
        "close": (4000, "off"),
        "vanish": (1006, "the client left without a close frame"),
        "us": (4001, "out"),
    }[way]
    async with connect(serve(endpoint)) as client:
        match way:
            case "close":
                await client.send("last words")
                await client.close(4000, "off")
            case "vanish":
                await client.send("last words")
                await trio.testing.wait_all_tasks_blocked()
                client.vanish()
            case _:
                await client.wait_closed()
    assert ended


async def test_receiving_is_cancelled_without_loss(autojump_clock: MockClock) -> None:
    """A receive that is cancelled takes no message with it, not even one that is already there."""

    async def endpoint(websocket: WebSocket) -> None:
        with trio.move_on_after(0.1) as scope:
            await websocket.receive_text()
        assert scope.cancelled_caught
        await trio.sleep(1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await websocket.receive_text()
        assert scope.cancelled_caught
        await websocket.send_text(await websocket.receive_text())

    async with connect(serve(endpoint), deadline=5) as client:
        await trio.sleep(0.5)
        await client.send("hello")
        assert await client.receive() == "hello"


async def test_many_messages_let_others_run(autojump_clock: MockClock) -> None:
    """Receiving and sending without a wait still lets other tasks run, every 32 messages at the latest."""
    most = 0

    async def endpoint(websocket: WebSocket) -> None:
        nonlocal most
        await trio.sleep(1)
        since = 0

        async def watch() -> None:
            nonlocal since
            while True:
                since = 0
                await trio.lowlevel.checkpoint()

        websocket.start_soon(watch)
        for _ in range(60):
            await websocket.receive_text()
            await websocket.send_text("")
            since += 2
            most = max(most, since)

    async with connect(serve(endpoint), deadline=5) as client:
        for _ in range(60):
            await client.send("")
        for _ in range(60):
            await client.receive()
    assert 0 < most <= 64  # twice as many, because whoever yields may be scheduled again before the other


async def test_a_client_that_does_not_read_holds_its_sender(autojump_clock: MockClock) -> None:
    """send waits while the client is behind, and goes on when it reads."""
    sent: list[float] = []

    async def endpoint(websocket: WebSocket) -> None:
        for _ in range(4):
            await websocket.send_bytes(bytes(10_000))
            sent.append(trio.current_time())

    async with connect(serve(endpoint), window=10_000, deadline=10) as client:
        began = trio.current_time()
        client.stall()
        await trio.sleep(5)
        assert len(sent) < 4
        client.resume()
        for _ in range(4):
            assert len(await client.receive()) == 10_000
    assert len(sent) == 4
    assert sent[-1] >= began + 5


async def test_a_client_that_never_reads(autojump_clock: MockClock) -> None:
    """After the write deadline the connection is cut: the send that waits raises WebSocketDisconnect."""
    events: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        try:
            while True:
                await websocket.send_bytes(bytes(10_000))
        except WebSocketDisconnect as end:
            events.append((end.code, trio.current_time() - began))
            raise

    async with connect(serve(endpoint), window=10_000) as client:
        began = trio.current_time()
        client.stall()
        await trio.sleep(20)
    assert events == [(1006, pytest.approx(10, abs=0.5))]
