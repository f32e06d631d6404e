"""Who decides whether messages are compressed: the route before the app, the app before the server."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.server.builders import Client, arrive
from wsframework import App, Deflate, Limits, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.compression import COMPRESSION, Compression
from wsframework.server.scope import Peers, make_scope
from wsframework.websocket import Receive, Scope, Send

OFFER = b"sec-websocket-extensions: permessage-deflate; client_max_window_bits"
SERVER = Deflate(window_bits=10)
APP = Deflate(window_bits=11)
ROUTE = Deflate(window_bits=13)


class Echo(WebSocketEndpoint):
    pass


def make_app(app: Compression = None, route: Compression = None) -> App:
    return App([WebSocketRoute("/", Echo, compression=route)], compression=app)


async def agreed(application: Any, server: Deflate | None = None) -> str:
    """What is agreed on with a client that connects to the application."""
    client = arrive(limits=Limits(ping_interval=None), fields=[OFFER], compression=server)
    return await ask(application, client)


async def ask(application: Any, client: Client) -> str:
    connection = client.connection
    assert connection._handshake is not None
    scope = make_scope(connection._handshake, Peers(), {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(application, scope, connection.asgi_receive, connection.asgi_send)
        await wait_all_tasks_blocked()
        assert client.gets().startswith(b"HTTP/1.1 101 ")
        client.leaves()
    return connection.extensions


@pytest.mark.parametrize(
    ("app", "route", "server", "bits"),
    [
        (None, None, None, None),
        (None, None, SERVER, 10),
        (APP, None, SERVER, 11),
        (APP, ROUTE, SERVER, 13),
        (None, ROUTE, None, 13),
        ("deflate", None, None, 12),
        (None, "deflate", None, 12),
        ("off", None, SERVER, None),
        (APP, "off", SERVER, None),
        ("off", ROUTE, None, 13),
    ],
)
async def test_the_nearest_decides(app: Compression, route: Compression, server: Deflate | None, bits: int) -> None:
    """The nearest that says something is heard, also when it says no."""
    extensions = await agreed(make_app(app, route), server)
    assert extensions == "" if bits is None else f"server_max_window_bits={bits};" in extensions


@pytest.mark.parametrize(
    ("app", "route", "bits"), [(None, None, 10), (APP, None, 11), (APP, ROUTE, 13), ("off", None, None)]
)
async def test_an_endpoint_that_accepts_with_an_event(app: Compression, route: Compression, bits: int | None) -> None:
    """It is the same handshake; an event that says something itself is heard before them."""

    def serve(event: dict[str, Any]) -> App:
        async def endpoint(websocket: WebSocket) -> None:
            await websocket.send(event)
            await websocket.receive()

        return App([WebSocketRoute("/", endpoint, compression=route)], compression=app)

    extensions = await agreed(serve({"type": "websocket.accept"}), SERVER)
    assert extensions == "" if bits is None else f"server_max_window_bits={bits};" in extensions
    own = await agreed(serve({"type": "websocket.accept", COMPRESSION: Deflate(window_bits=14)}), SERVER)
    assert "server_max_window_bits=14;" in own


async def test_the_decorator() -> None:
    """`@app.websocket` and `@app.route` take it too."""
    for decorate in (App.websocket, lambda app, path, **how: app.route(path, websocket=True, **how)):
        app = App()
        decorate(app, "/", compression="deflate")(Echo)
        assert await agreed(app)


async def test_an_app_in_an_app() -> None:
    """A mounted app decides for its own routes, and leaves it to the outer one where it does not."""
    for inner, bits in ((None, 11), (ROUTE, 13)):
        outer = App(compression=APP)
        outer.mount("", make_app(inner))
        assert f"server_max_window_bits={bits};" in await agreed(outer)


async def test_behind_middleware() -> None:
    """An endpoint whose ``send`` is wrapped is compressed all the same: it says so in the event that accepts."""
    events: list[Any] = []

    def middleware(app: Any) -> Any:
        async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
            async def note(event: Any) -> None:
                events.append(event)
                await send(event)

            await app(scope, receive, note)

        return wrapped

    assert "server_max_window_bits=11;" in await agreed(middleware(make_app(APP)))
    assert events[0][COMPRESSION] == APP
    events.clear()
    assert await agreed(middleware(make_app()), SERVER)
    assert COMPRESSION not in events[0]


async def test_another_server() -> None:
    """A server that does not know the key never sees it."""
    events: list[Any] = []

    connects = [{"type": "websocket.connect"}]

    async def receive() -> Any:
        if connects:
            return connects.pop()
        while not events:
            await trio.lowlevel.checkpoint()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(event: Any) -> None:
        events.append(event)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    await make_app(APP)(scope, receive, send)
    assert events[0] == {"type": "websocket.accept", "subprotocol": None, "headers": []}


async def test_what_the_endpoint_sees() -> None:
    """``websocket.extensions`` says what was agreed on."""
    seen: list[str] = []

    async def endpoint(websocket: WebSocket) -> None:
        seen.append(websocket.extensions)
        await websocket.accept()
        seen.append(websocket.extensions)
        await websocket.receive_text()

    extensions = await agreed(App([WebSocketRoute("/", endpoint, compression="deflate")]))
    assert seen == ["", extensions]
    assert extensions.startswith("permessage-deflate; ")
