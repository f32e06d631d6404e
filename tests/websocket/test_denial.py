"""send_denial_response: any response of Starlette's refuses a handshake, on servers that can."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from trio.testing import MockClock

from tests.asgi.server import ASGIServer
from tests.net.servers import (
    UPGRADE,
    InMemory,
    Kind,
    OnPortablePath,
    OverSockets,
    open_stream,
    receive_all,
    run_server,
    served_by,
)
from wsframework import App, WebSocket, WebSocketDisconnect, WebSocketStateError
from wsframework.testing import HandshakeRefused, connect

kind = served_by(InMemory(), OverSockets(), OnPortablePath())


async def pieces() -> AsyncIterator[str]:
    for number in range(3):
        yield f"piece {number}, "


def make_response(name: str, folder: Path) -> Response:
    """Make a response of this kind."""
    file = folder / "page.txt"
    file.write_text("a file")
    match name:
        case "plain":
            return Response(b"no", 401, {"www-authenticate": "Bearer"})
        case "JSON":
            return JSONResponse({"error": "no"}, 402)
        case "HTML":
            return HTMLResponse("<p>no</p>", 404)
        case "empty":
            return Response(status_code=410)
        case "redirect":
            return RedirectResponse("/elsewhere")
        case "streaming":
            return StreamingResponse(pieces(), 503)
        case "streaming with a length":
            return StreamingResponse(pieces(), 503, {"content-length": "27"})
        case _:
            return FileResponse(file, 429)


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("plain", 401, b"no"),
        ("JSON", 402, b'{"error":"no"}'),
        ("HTML", 404, b"<p>no</p>"),
        ("empty", 410, b""),
        ("redirect", 307, b""),
        ("streaming", 503, b"piece 0, piece 1, piece 2, "),
        ("streaming with a length", 503, b"piece 0, piece 1, piece 2, "),
        ("file", 429, b"a file"),
    ],
)
async def test_any_response(name: str, status: int, body: bytes, kind: Kind, tmp_path: Path) -> None:
    """The client gets its status, header fields and body."""
    app = App()
    response = make_response(name, tmp_path)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send_denial_response(response)

    async with kind.running(app) as served:
        with pytest.raises(HandshakeRefused) as refused:
            async with served.connect():
                pass
    assert (refused.value.status, refused.value.body) == (status, body)
    if name == "plain":
        assert (b"www-authenticate", b"Bearer") in refused.value.headers


async def test_a_background_task(autojump_clock: MockClock) -> None:
    """It runs when the response was sent."""
    app, log = App(), []

    async def after() -> None:
        log.append("background")

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send_denial_response(Response(status_code=401, background=BackgroundTask(after)))
        log.append("sent")

    with pytest.raises(HandshakeRefused):
        async with connect(app):
            pass
    assert log == ["background", "sent"]


async def test_a_stream_that_breaks(caplog: pytest.LogCaptureFixture) -> None:
    """An error in the middle of it is logged; the client gets no second answer, and no last chunk."""
    app = App()

    async def broken() -> AsyncIterator[str]:
        yield "so far"
        raise ZeroDivisionError

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.send_denial_response(StreamingResponse(broken(), 503))

    async with run_server(app) as server, await open_stream(server.url) as stream:
        await stream.send_all(UPGRADE)
        answer = await receive_all(stream)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert answer.endswith(b"\r\n\r\n6\r\nso far\r\n")
    assert [record.levelname for record in caplog.records if record.name == "wsframework.endpoint"] == ["ERROR"]


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
async def test_a_server_that_cannot(extensions: Any) -> None:
    """A RuntimeError, as Starlette has it, that says what to call; the handshake can still be refused."""
    server = ASGIServer()
    if extensions is not None:
        server.scope["extensions"] = extensions
    websocket = WebSocket(server.scope, server.receive, server.send)
    with pytest.raises(WebSocketStateError, match="websocket.http.response.*websocket.close") as error:
        await websocket.send_denial_response(Response(status_code=401))
    assert isinstance(error.value, RuntimeError)
    assert server.sent == []
    await websocket.close()
    assert [event["type"] for event in server.sent] == ["websocket.close"]


async def test_another_server_that_can() -> None:
    """It gets the events of the extension."""
    server = ASGIServer(can_respond=True)
    websocket = WebSocket(server.scope, server.receive, server.send)
    await websocket.send_denial_response(JSONResponse({}, 401))
    assert [(event["type"], event.get("status")) for event in server.sent] == [
        ("websocket.http.response.start", 401),
        ("websocket.http.response.body", None),
    ]


async def test_the_client_has_left(autojump_clock: MockClock) -> None:
    """A refusal that nobody waits for raises WebSocketDisconnect."""
    server = ASGIServer(can_respond=True)
    websocket = WebSocket(server.scope, server.receive, server.send)
    server.vanish()
    with pytest.raises(WebSocketDisconnect):
        await websocket.send_denial_response(JSONResponse({}, 401))
        await websocket.send_denial_response(JSONResponse({}, 401))


async def test_the_order_of_raw_events_on_another_server() -> None:
    """A body needs a head, and a handshake that is being refused is neither accepted nor refused again."""
    server = ASGIServer(can_respond=True)
    websocket = WebSocket(server.scope, server.receive, server.send)
    start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
    body = {"type": "websocket.http.response.body", "body": b"no"}
    with pytest.raises(WebSocketStateError, match=r"send websocket\.http\.response\.start first"):
        await websocket.send(body)
    await websocket.send(start)
    with pytest.raises(WebSocketStateError, match="is being refused"):
        await websocket.accept()
    with pytest.raises(WebSocketStateError, match="refused once"):
        await websocket.send(start)
    await websocket.send(body)
    with pytest.raises(WebSocketDisconnect):
        await websocket.send(body)
    assert [event["type"] for event in server.sent] == [start["type"], body["type"]]
