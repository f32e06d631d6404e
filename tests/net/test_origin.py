"""The check of Origin and the word of proxies over real sockets, on every server that an application can run on."""

import logging
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.routing import WebSocketRoute as StarletteRoute
from starlette.websockets import WebSocket as StarletteWebSocket

from tests.net.servers import Kind, Served
from wsframework import App, ForwardedHeaders, WebSocket, WebSocketEndpoint, WebSocketRoute
from wsframework.testing import HandshakeRefused

EVIL = "https://evil.example"
PARTNER = "https://partner.example"


class Ours(WebSocketEndpoint):
    """Tells the client who it is, and what the server is called."""

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        who = "nobody" if websocket.client is None else websocket.client.host
        await websocket.send_text(f"{who} {websocket.url}")


async def theirs(websocket: StarletteWebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("welcome")
    await websocket.close()


OUTER = App(
    routes=[
        WebSocketRoute("/ours", Ours),
        WebSocketRoute("/partner", Ours, allowed_origins=[PARTNER]),
        StarletteRoute("/theirs", theirs),
        Mount("/starlette", Starlette(routes=[StarletteRoute("/theirs", theirs), StarletteRoute("/ours", Ours)])),
        Mount("/app", App(routes=[WebSocketRoute("/partner", Ours, allowed_origins=[PARTNER])])),
    ]
)
INNER = Starlette(routes=[Mount("/app", OUTER), StarletteRoute("/ours", Ours)])


async def status(served: Served, path: str, origin: str, **headers: str) -> int:
    """The status of the answer: 101 if there is a WebSocket, and a message on it."""
    try:
        async with served.connect(path, headers={"origin": origin} | headers) as client:
            assert await client.receive()
    except HandshakeRefused as refused:
        return refused.status
    return 101


def own_origin(served: Served, kind: Kind) -> str:
    """The origin of a page of this server: the clients of the tests call it like this."""
    host = "testserver" if kind.name == "memory" else "localhost"
    return f"{served.scheme.replace('ws', 'http')}://{host}"


@pytest.mark.parametrize("app", [OUTER, INNER], ids=["app", "starlette"])
async def test_pages(kind: Kind, app: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Every route refuses a page of another site with 403 and one line, and takes a page of its own."""
    caplog.set_level(logging.INFO, "wsframework")
    prefix = "/app" if app is INNER else ""
    paths = [f"{prefix}{path}" for path in ("/ours", "/theirs", "/starlette/theirs", "/starlette/ours", "/partner")]
    if app is INNER:
        paths.append("/ours")
    async with kind.running(app) as served:
        for path in paths:
            caplog.clear()
            assert await status(served, path, own_origin(served, kind)) == 101
            assert [record for record in caplog.records if record.name == "wsframework"] == []
            assert await status(served, path, EVIL) == 403
            assert len([record for record in caplog.records if record.name == "wsframework"]) == 1
        assert await status(served, f"{prefix}/unknown", EVIL) == 403
        assert await status(served, f"{prefix}/unknown", own_origin(served, kind)) == 404
        for path in (f"{prefix}/partner", f"{prefix}/app/partner"):
            assert await status(served, path, PARTNER) == 101


async def test_no_origin(kind: Kind) -> None:
    """A client that is no browser sends no Origin, and is served."""
    async with kind.running(OUTER) as served, served.connect("/ours") as client:
        assert str(await client.receive()).endswith("/ours")


async def test_behind_a_proxy(kind: Kind) -> None:
    """What a proxy on this machine says is what the endpoint and the check see; its Forwarded is the client's own."""
    said = {"x-forwarded-for": "6.6.6.6, 203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-host": "chat.example"}
    spoofed = {"forwarded": "for=6.6.6.6;host=evil.example;proto=https"}
    # hypercorn does not say that a connection came over a Unix socket, and neither do we: there is no address.
    async with kind.running(ForwardedHeaders(OUTER, host=True)) as served:
        async with served.connect("/ours", headers=said | spoofed | {"origin": "https://chat.example"}) as client:
            assert await client.receive() == "203.0.113.7 wss://chat.example/ours"
        assert await status(served, "/ours", EVIL, **said) == 403
        assert await status(served, "/ours", "https://evil.example", **said, **spoofed) == 403
    async with kind.running(ForwardedHeaders(OUTER, "192.0.2.1", host=True)) as served:
        assert await status(served, "/ours", "https://chat.example", **said) == 403
