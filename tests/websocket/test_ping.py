"""ping and latency, as an endpoint sees them: over sockets, and where there are none."""

import pytest

from tests.asgi.server import ASGIServer
from tests.net.servers import InMemory, Kind, OnPortablePath, OverSockets, StockHypercorn, served_by
from wsframework import App, WebSocket, WebSocketStateError

kind = served_by(InMemory(), OverSockets(), OnPortablePath(), StockHypercorn())


async def test_ping(kind: Kind) -> None:
    """On our server it measures; on another one it says what it needs, and there is no latency."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        assert websocket.latency is None
        try:
            await websocket.send_json([await websocket.ping() == websocket.latency])
        except WebSocketStateError as error:
            await websocket.send_json([str(error), websocket.latency])

    async with kind.running(app) as served, served.connect() as client:
        answer = await client.receive_json()
    if kind.stock:
        assert answer[0].startswith("ping needs the server of wsframework")
        assert answer[1] is None
    else:
        assert answer == [True]


async def test_a_plain_asgi_server() -> None:
    """It has no pings: an error says so, before accept and behind it."""
    server = ASGIServer()
    websocket = WebSocket(server.scope, server.receive, server.send)
    with pytest.raises(WebSocketStateError, match="no event for it"):
        await websocket.ping()
    await websocket.accept()
    with pytest.raises(WebSocketStateError, match="no event for it"):
        await websocket.ping()
    assert websocket.latency is None


async def test_the_messages_of_a_websocket(kind: Kind) -> None:
    """``async for`` over the WebSocket itself gives text as strings and binary as bytes, until the client leaves."""
    app = App()
    heard: list[str | bytes] = []

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            heard.append(message)
            await websocket.send_text("heard")

    async with kind.running(app) as served, served.connect() as client:
        for message in ("text", b"bytes", "", b""):
            await client.send(message)
            assert await client.receive() == "heard"
    assert heard == ["text", b"bytes", "", b""]
