"""WebSocket(scope, receive, send) by itself, on another ASGI server: calls go straight through, nothing runs beside."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from starlette.websockets import WebSocketState
from trio.testing import MockClock, assert_checkpoints

from tests.asgi.server import ASGIServer
from wsframework import WebSocket, WebSocketDisconnect


def make_websocket(server: ASGIServer) -> WebSocket:
    return WebSocket(server.scope, server.receive, server.send)


async def test_a_conversation() -> None:
    """accept, messages both ways, close: the events that the server sees are plain ASGI."""
    server = ASGIServer()
    server.say("hello", b"\0", "", b"")
    websocket = make_websocket(server)
    assert websocket.client_state is WebSocketState.CONNECTING
    await websocket.accept("v1", [(b"x-a", b"1")])
    assert (websocket.client_state, websocket.subprotocol) == (WebSocketState.CONNECTED, "v1")
    assert await websocket.receive_text() == "hello"
    assert await websocket.receive_bytes() == b"\0"
    assert await websocket.receive_text() == ""
    assert await websocket.receive_bytes() == b""
    await websocket.send_text("")
    await websocket.send_bytes(b"")
    await websocket.send_json({"a": 1})
    await websocket.close(4000, "off")
    assert server.sent == [
        {"type": "websocket.accept", "subprotocol": "v1", "headers": [(b"x-a", b"1")]},
        {"type": "websocket.send", "text": ""},
        {"type": "websocket.send", "bytes": b""},
        {"type": "websocket.send", "text": '{"a":1}'},
        {"type": "websocket.close", "code": 4000, "reason": "off"},
    ]
    assert websocket.client_state is WebSocketState.DISCONNECTED


async def test_raw_events() -> None:
    """receive gives connect, messages and disconnect, each once; send passes events on."""
    server = ASGIServer()
    websocket = make_websocket(server)
    assert await websocket.receive() == {"type": "websocket.connect"}
    await websocket.send({"type": "websocket.accept"})
    server.say("hello", b"")
    server.leave(code=4000, reason="off")
    assert await websocket.receive() == {"type": "websocket.receive", "text": "hello"}
    assert await websocket.receive() == {"type": "websocket.receive", "bytes": b""}
    assert await websocket.receive() == {"type": "websocket.disconnect", "code": 4000, "reason": "off"}
    with pytest.raises(WebSocketDisconnect, match=r"4000 \(private use\): off"):
        await websocket.receive()


async def test_refusing() -> None:
    """close before accept is a close event, which servers answer with 403."""
    server = ASGIServer()
    websocket = make_websocket(server)
    await websocket.close(4003)
    assert server.sent == [{"type": "websocket.close", "code": 4003, "reason": ""}]
    with pytest.raises(WebSocketDisconnect, match="4003"):
        await websocket.accept()
    with pytest.raises(WebSocketDisconnect, match="4003"):
        await websocket.receive_text()


async def test_refusing_with_a_response() -> None:
    """The events of the denial response go through as they are."""
    server = ASGIServer(can_respond=True)
    websocket = make_websocket(server)
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"content-length", b"2")]}
    await websocket.send(start)
    await websocket.send({"type": "websocket.http.response.body", "body": b"n", "more_body": True})
    assert websocket.client_state is WebSocketState.CONNECTING
    await websocket.send({"type": "websocket.http.response.body", "body": b"o"})
    assert server.sent == [
        start,
        {"type": "websocket.http.response.body", "body": b"n", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"o", "more_body": False},
    ]
    assert (websocket.close_code, websocket.close_reason) == (1006, "the handshake was refused")


@pytest.mark.parametrize(
    ("how", "code", "reason"),
    [
        ({"code": 4000, "reason": "off"}, 4000, "off"),
        ({"code": 1001}, 1001, ""),
        ({"code": 1000, "reason": None}, 1000, ""),
        ({}, 1005, ""),
        ({"code": None}, 1005, ""),
    ],
)
async def test_the_client_leaves(how: dict[str, Any], code: int, reason: str) -> None:
    """What came before is still received; then every call tells of the end."""
    server = ASGIServer()
    server.say("one", "two")
    server.leave(**how)
    websocket = make_websocket(server)
    await websocket.accept()
    assert [text async for text in websocket.iter_text()] == ["one", "two"]
    assert (websocket.close_code, websocket.close_reason) == (code, reason)
    calls: list[Callable[[], Awaitable[Any]]] = [websocket.receive_text, lambda: websocket.send_text("")]
    for call in calls * 2:
        with pytest.raises(WebSocketDisconnect) as end, assert_checkpoints():
            await call()
        assert (end.value.code, end.value.reason) == (code, reason)
    await websocket.close()
    assert len(server.sent) == 1


async def test_the_client_leaves_before_accept() -> None:
    """accept raises WebSocketDisconnect when the server said goodbye in place of the connect event."""
    server = ASGIServer()
    assert (await server.receive())["type"] == "websocket.connect"
    server.leave(code=1006)
    websocket = make_websocket(server)
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await websocket.accept()
    assert (await websocket.receive())["type"] == "websocket.connect"
    assert (await websocket.receive())["type"] == "websocket.disconnect"


async def test_a_send_that_fails() -> None:
    """The OSError that servers raise when the client is gone becomes WebSocketDisconnect with 1006."""
    server = ASGIServer()
    websocket = make_websocket(server)
    await websocket.accept()
    server.vanish()
    for _ in range(2):
        with pytest.raises(WebSocketDisconnect, match="1006"):
            await websocket.send_text("hello?")
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await websocket.receive_text()
    assert websocket.close_code == 1006
    await websocket.close()
    assert [event["type"] for event in server.sent] == ["websocket.accept"]


async def test_accepting_a_client_that_is_gone() -> None:
    """The same holds for accept."""
    server = ASGIServer()
    server.vanish()
    with pytest.raises(WebSocketDisconnect, match="1006"):
        await make_websocket(server).accept()


async def test_wrong_moments() -> None:
    """Messages before accept, and a second accept, are the program's mistakes; the server sees nothing of them."""
    server = ASGIServer()
    websocket = make_websocket(server)
    with pytest.raises(RuntimeError, match="send before accept"):
        await websocket.send_text("early")
    with pytest.raises(RuntimeError, match="receive before accept"):
        await websocket.receive_text()
    await websocket.accept()
    with pytest.raises(RuntimeError, match="accept was called twice"):
        await websocket.accept()
    assert len(server.sent) == 1


async def test_a_slow_client_holds_its_sender(autojump_clock: MockClock) -> None:
    """send waits as long as the server does, and can be cancelled."""
    server = ASGIServer()
    websocket = make_websocket(server)
    await websocket.accept()
    server.stall()
    with trio.move_on_after(3) as scope:
        await websocket.send_text("cancelled")
    assert scope.cancelled_caught
    server.drain()
    await websocket.send_text("through")
    assert server.messages == ["through"]


async def test_a_cancelled_receive_loses_nothing(autojump_clock: MockClock) -> None:
    """The message that comes later is received by the next call."""
    server = ASGIServer()
    websocket = make_websocket(server)
    await websocket.accept()
    with trio.move_on_after(3):
        await websocket.receive_text()
    server.say("hello")
    assert await websocket.receive_text() == "hello"
