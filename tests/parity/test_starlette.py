"""Starlette's reference of ``WebSocket``, call by call, as one writes it here: the import differs.

Over real sockets, on our server and as plain ASGI under hypercorn. Each program is a bare ASGI application, an endpoint
of an `App`, and one in Starlette's own routing.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute as StarletteRoute
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect
from starlette.websockets import WebSocketState

import wsframework
from tests.net.servers import Kind, OnPortablePath, OverSockets, StockHypercorn, served_by
from wsframework import App, WebSocket
from wsframework.testing import HandshakeRefused

Program = Callable[[WebSocket], Awaitable[None]]


kind = served_by(OverSockets(), OnPortablePath(), StockHypercorn())


def bare(program: Program) -> Any:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise NotImplementedError(scope["type"])
        await program(WebSocket(scope, receive, send))

    return application


def in_app(program: Program) -> Any:
    app = App()
    app.websocket("/{path:path}")(program)
    return app


def in_starlette(program: Program) -> Any:
    return Starlette(routes=[wsframework.WebSocketRoute("/{path:path}", program)])


@pytest.fixture(params=[bare, in_app, in_starlette], ids=["bare", "App", "Starlette"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_the_first_program(make: Any, kind: Kind) -> None:
    """Accept, send, close."""

    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("Hello, socket!")
        await websocket.close()

    async with kind.running(make(program)) as served, served.connect() as client:
        assert await client.receive() == "Hello, socket!"
        assert (await client.wait_closed()).code == 1000


async def test_the_request(make: Any, kind: Kind) -> None:
    """The mapping over the scope, the URL and its parts, header fields, the query, cookies, the client."""

    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        url = websocket.url
        await websocket.send_json(
            [
                websocket["path"],
                "subprotocols" in websocket,
                [url.path, url.scheme, url.query],
                websocket.headers["Sec-WebSocket-Version"],
                websocket.headers.getlist("x-tag"),
                websocket.query_params["search"],
                websocket.query_params.getlist("search"),
                websocket.cookies,
                websocket.client is not None,
            ]
        )

    headers = {"x-tag": "a", "cookie": "flavour=oat; size=2"}
    async with kind.running(make(program)) as served:
        async with served.connect("/some/path?search=tea&search=pot", headers=headers) as client:
            assert await client.receive_json() == [
                "/some/path",
                True,
                ["/some/path", "ws", "search=tea&search=pot"],
                "13",
                ["a"],
                "pot",
                ["tea", "pot"],
                {"flavour": "oat", "size": "2"},
                True,
            ]


async def test_path_parameters(kind: Kind) -> None:
    """They are those of the route, converted."""
    app = App()

    @app.websocket("/{username}/{number:int}")
    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_json([websocket.path_params["username"], websocket.path_params["number"]])

    async with kind.running(app) as served, served.connect("/ada/7") as client:
        assert await client.receive_json() == ["ada", 7]


async def test_accept(make: Any, kind: Kind) -> None:
    """With a subprotocol and header fields."""

    async def program(websocket: WebSocket) -> None:
        await websocket.accept(subprotocol="v2", headers=[(b"x-served-by", b"us")])
        await websocket.send_text(str(websocket.subprotocol))

    async with kind.running(make(program)) as served:
        async with served.connect("/", subprotocols=["v1", "v2"]) as client:
            assert client.subprotocol == "v2"
            assert (b"x-served-by", b"us") in client.headers
            assert await client.receive() == "v2"


async def test_sending_and_receiving(make: Any, kind: Kind) -> None:
    """Text, bytes, and JSON in text and in binary messages."""

    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        await websocket.send_bytes(await websocket.receive_bytes())
        await websocket.send_json(await websocket.receive_json())
        await websocket.send_json(await websocket.receive_json(mode="binary"), mode="binary")

    async with kind.running(make(program)) as served, served.connect() as client:
        for message in ("täxt", b"\x00\xff", '{"a":[1,null]}', b'["b"]'):
            await client.send(message)
            assert await client.receive() == message


@pytest.mark.parametrize("what", ["text", "bytes", "json"])
async def test_iterating(what: str, make: Any, kind: Kind) -> None:
    """The iterators end, without an exception, when the client leaves."""
    ends: list[int | None] = []

    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        match what:
            case "text":
                async for text in websocket.iter_text():
                    await websocket.send_text(text)
            case "bytes":
                async for data in websocket.iter_bytes():
                    await websocket.send_bytes(data)
            case _:
                async for value in websocket.iter_json():
                    await websocket.send_json(value)
        ends.append(websocket.close_code)

    messages: dict[str, list[str | bytes]] = {"text": ["a", ""], "bytes": [b"a", b""], "json": ["[1]", "0"]}
    async with kind.running(make(program)) as served, served.connect() as client:
        for message in messages[what]:
            await client.send(message)
            assert await client.receive() == message
    assert ends == [1006 if kind.stock else 1000]


async def test_disconnect(make: Any, kind: Kind) -> None:
    """Receiving from a client that has left raises Starlette's exception, with its code and reason."""
    ends: list[tuple[int, str]] = []

    async def program(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        except StarletteDisconnect as end:
            ends.append((end.code, end.reason))

    async with kind.running(make(program)) as served, served.connect() as client:
        await client.close(4001, "bye")
    assert ends == [(1006, "") if kind.stock else (4001, "bye")]


async def test_close(make: Any, kind: Kind) -> None:
    """With a code and a reason; before accept it is 403."""

    async def program(websocket: WebSocket) -> None:
        if "early" not in websocket.query_params:
            await websocket.accept()
        await websocket.close(code=4002, reason="enough")

    async with kind.running(make(program)) as served:
        async with served.connect() as client:
            end = await client.wait_closed()
            assert (end.code, "" if kind.stock else end.reason) == (4002, "" if kind.stock else "enough")
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect("/?early=1"):
                pass
        assert refused.value.status == 403


async def test_raw_messages(make: Any, kind: Kind) -> None:
    """`receive` and `send` take ASGI events, and the state follows them."""

    async def program(websocket: WebSocket) -> None:
        states = [websocket.client_state]
        assert (await websocket.receive())["type"] == "websocket.connect"
        await websocket.send({"type": "websocket.accept"})
        states.append(websocket.application_state)
        event = await websocket.receive()
        await websocket.send({"type": "websocket.send", "text": event["text"] + "!"})
        assert (await websocket.receive())["type"] == "websocket.disconnect"
        states.append(websocket.client_state)
        seen.extend(states)

    seen: list[WebSocketState] = []
    async with kind.running(make(program)) as served, served.connect() as client:
        await client.send("raw")
        assert await client.receive() == "raw!"
    assert seen == [WebSocketState.CONNECTING, WebSocketState.CONNECTED, WebSocketState.DISCONNECTED]


async def test_denial(make: Any, kind: Kind) -> None:
    """A response of one's own refuses the handshake."""

    async def program(websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"error": "full"}, status_code=503))

    async with kind.running(make(program)) as served:
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect():
                pass
    assert (refused.value.status, refused.value.body) == (503, b'{"error":"full"}')


async def test_an_endpoint_class(kind: Kind) -> None:
    """Starlette's own route takes our class where it takes its own."""

    class Echo(wsframework.WebSocketEndpoint):
        encoding = "text"

        async def on_connect(self, websocket: WebSocket) -> None:
            await websocket.accept()

        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            await websocket.send_text(f"Message text was: {data}")

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            pass

    async with kind.running(Starlette(routes=[StarletteRoute("/ws", Echo)])) as served:
        async with served.connect("/ws") as client:
            await client.send("hello")
            assert await client.receive() == "Message text was: hello"
