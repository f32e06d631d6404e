"""WebSocket.receive and WebSocket.send: raw ASGI events."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.server.builders import arrive
from wsframework import App, WebSocket, WebSocketDisconnect
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


async def test_raw_events(autojump_clock: MockClock) -> None:
    """receive and send speak ASGI: connect, messages, disconnect; after that, WebSocketDisconnect."""
    events: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        events.append(await websocket.receive())
        await websocket.send({"type": "websocket.accept", "subprotocol": None})
        for _ in range(4):
            events.append(await websocket.receive())
        await websocket.send({"type": "websocket.send", "text": ""})
        await websocket.send({"type": "websocket.send", "text": None, "bytes": b""})
        await websocket.send({"type": "websocket.send", "bytes": b"x", "text": None})
        events.append(await websocket.receive())
        for _ in range(2):
            with pytest.raises(WebSocketDisconnect, match=r"4000 \(private use\): off"):
                await websocket.receive()
        with pytest.raises(WebSocketDisconnect, match=r"4000 \(private use\): off"):
            await websocket.send({"type": "websocket.send", "text": "late"})
        events.append("end")

    async with connect(serve(endpoint, accept=False)) as client:
        for message in ("text", "", b"bytes", b""):
            await client.send(message)
        assert [await client.receive() for _ in range(3)] == ["", b"", b"x"]
        await client.close(4000, "off")
    assert events == [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "text"},
        {"type": "websocket.receive", "text": ""},
        {"type": "websocket.receive", "bytes": b"bytes"},
        {"type": "websocket.receive", "bytes": b""},
        {"type": "websocket.disconnect", "code": 4000, "reason": "off"},
        "end",
    ]


async def test_closing_with_a_raw_event(autojump_clock: MockClock) -> None:
    """websocket.close has Starlette's defaults: 1000 and no reason, also for None."""
    for event, code, reason in (
        ({}, 1000, ""),
        ({"code": None, "reason": None}, 1000, ""),
        ({"code": 4000, "reason": "off"}, 4000, "off"),
    ):

        async def endpoint(websocket: WebSocket, event: dict[str, Any] = event) -> None:
            await websocket.send({"type": "websocket.close", **event})

        async with connect(serve(endpoint)) as client:
            end = await client.wait_closed()
            assert (end.code, end.reason) == (code, reason)


@pytest.mark.parametrize(
    ("event", "error", "words"),
    [
        (
            {"type": "http.response.start"},
            RuntimeError,
            "cannot send an event 'http.response.start'; for JSON there is send_json",
        ),
        ({"type": "websocket.send"}, ValueError, "text or bytes"),
        ({"type": "websocket.send", "text": None, "bytes": None}, ValueError, "text or bytes"),
        ({"type": "websocket.close", "code": 1005}, ValueError, "close code 1005 may not be sent"),
        ({"type": "websocket.accept"}, RuntimeError, "accept was called twice"),
        ({"type": "websocket.http.response.start", "status": 401}, RuntimeError, "before it is accepted"),
        ({"type": "websocket.http.response.body"}, RuntimeError, "needs a response"),
    ],
)
async def test_raw_events_that_cannot_be_sent(
    event: dict[str, Any], error: type[Exception], words: str, autojump_clock: MockClock
) -> None:
    """An event that makes no sense, or not now, is the program's mistake, and changes nothing."""

    async def endpoint(websocket: WebSocket) -> None:
        with pytest.raises(error, match=words):
            await websocket.send(event)
        await websocket.send_text("the next")

    async with connect(serve(endpoint)) as client:
        assert await client.receive() == "the next"


async def test_raw_receive_behind_accept(autojump_clock: MockClock) -> None:
    """accept has answered the connect event, so receive gives what comes next; each message is given once."""
    events: list[Any] = []

    async def endpoint(websocket: WebSocket) -> None:
        for _ in range(2):
            events.append(await websocket.receive())
            events.append(await websocket.receive_text())

    async with connect(serve(endpoint)) as client:
        for word in ("a", "b", "c", "d"):
            await client.send(word)
        await client.wait_closed()
    assert events == [
        {"type": "websocket.receive", "text": "a"},
        "b",
        {"type": "websocket.receive", "text": "c"},
        "d",
    ]


async def test_a_receive_that_is_cancelled_has_taken_no_connect_event() -> None:
    """The connect event is given to whoever asks next; without it nothing may be sent."""
    client = arrive()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.connection.asgi_receive()
    assert scope.cancelled_caught
    assert await client.connection.asgi_receive() == {"type": "websocket.connect"}
