"""What type checkers make of encodings, messages and hooks. It is checked by mypy and pyright, and never run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import attrs
import msgspec
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocketState

from wsframework import App, Hub, WebSocket, WebSocketEndpoint


@attrs.define
class Point:
    x: int


@dataclass
class Line:
    begin: int


class Say(msgspec.Struct, tag=True):
    text: str


class Leave(msgspec.Struct, tag=True):
    pass


# An encoding is a word or a type; on_receive says what it gets.


class Text(WebSocketEndpoint):
    encoding = "text"
    concurrency = 2
    disconnect_grace = 0.5

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        assert_type(data, str)
        assert_type(self.websocket, WebSocket)
        assert_type(self.hub, Hub)
        self.start_soon(websocket.send_text, data)


class Binary(WebSocketEndpoint):
    encoding = "bytes"

    async def on_receive(self, websocket: WebSocket, data: bytes) -> None:
        await websocket.send_bytes(memoryview(data))
        await websocket.send_bytes(bytearray(data))


class AsItCame(WebSocketEndpoint):
    encoding = None

    async def on_receive(self, websocket: WebSocket, data: str | bytes) -> None:
        if isinstance(data, bytes):
            assert_type(data, bytes)


class Values(WebSocketEndpoint):
    encoding = "json"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json(data["key"])


class Attrs(WebSocketEndpoint):
    encoding = Point

    async def on_receive(self, websocket: WebSocket, data: Point) -> None:
        assert_type(data.x, int)
        await websocket.send_json(data)


class Dataclass(WebSocketEndpoint):
    encoding = Line

    async def on_receive(self, websocket: WebSocket, data: Line) -> None:
        await websocket.send_json(data, mode="binary")


class Union(WebSocketEndpoint):
    encoding = Say | Leave

    async def on_receive(self, websocket: WebSocket, data: Say | Leave) -> None:
        match data:
            case Say(text=text):
                assert_type(text, str)
            case Leave():
                await websocket.close()

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        assert_type(close_code, int)


# Messages have their types.


async def function(websocket: WebSocket) -> None:
    assert_type(await websocket.receive_text(), str)
    assert_type(await websocket.receive_bytes(), bytes)
    async for message in websocket:
        assert_type(message, str | bytes)
    async for text in websocket.iter_text():
        assert_type(text, str)
    async for data in websocket.iter_bytes():
        assert_type(data, bytes)
    assert_type(await websocket.ping(), float)
    assert_type(websocket.latency, float | None)
    assert_type(websocket.close_code, int | None)
    assert_type(websocket.close_reason, str)
    assert_type(websocket.subprotocol, str | None)
    assert_type(websocket.client_state, WebSocketState)
    await websocket.send_denial_response(JSONResponse({}))


# Hooks and handlers keep their types below their decorators.

app = App(middleware=[Middleware(GZipMiddleware)])


@app.before_request
async def look(request: Request) -> Response | None:
    return None


@app.before_request(websocket=True)
async def check(websocket: WebSocket) -> None:
    assert_type(websocket.path_params, dict[str, Any])


@app.exception_handler(KeyError)
async def missing(websocket: WebSocket, exc: KeyError) -> None:
    await websocket.close(4004)


@app.exception_handler(404, websocket=False)
def not_found(request: Request, exc: Exception) -> Response:
    return JSONResponse({}, 404)


async def use(websocket: WebSocket, headers: Mapping[str, str]) -> None:
    await check(websocket)
    await missing(websocket, KeyError())


app.add_middleware(GZipMiddleware, minimum_size=500)
