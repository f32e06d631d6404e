"""Exception handlers for HTTP, alone and beside those for WebSockets."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from tests.app.raising import SECRET, OutOfGreenTeaError, OutOfTeaError
from wsframework import App, WebSocket
from wsframework.testing import TestClient


def test_http() -> None:
    """Starlette's rules: by class and by status; what nobody expected is 500 and raised all the same."""
    app = App(exception_handlers={404: lambda request, exc: PlainTextResponse("where?", 404)})

    @app.exception_handler(OutOfTeaError)
    async def no_tea(request: Request, exc: OutOfTeaError) -> Response:
        return PlainTextResponse(f"no tea at {request.url.path}", 418)

    @app.exception_handler(Exception)
    async def sorry(request: Request, exc: Exception) -> Response:
        return PlainTextResponse("sorry", 500)

    @app.route("/tea")
    async def tea(request: Request) -> str:
        raise OutOfGreenTeaError

    @app.route("/zero")
    async def zero(request: Request) -> str:
        raise ZeroDivisionError(SECRET)

    client = TestClient(app, raise_server_exceptions=False)
    assert (client.get("/tea").status_code, client.get("/tea").text) == (418, "no tea at /tea")
    assert client.get("/nowhere").text == "where?"
    assert (client.get("/zero").status_code, client.get("/zero").text) == (500, "sorry")


def test_one_handler_for_each_kind() -> None:
    """A handler may be for WebSockets only, or for HTTP only."""
    app = App()

    @app.exception_handler(OutOfTeaError, websocket=True)
    async def for_websockets(websocket: WebSocket, exc: OutOfTeaError) -> None:
        await websocket.accept()
        await websocket.close(4004)

    @app.exception_handler(OutOfTeaError, websocket=False)
    async def for_http(request: Request, exc: OutOfTeaError) -> Response:
        return PlainTextResponse("no tea", 418)

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        raise OutOfTeaError

    @app.route("/http")
    async def page(request: Request) -> str:
        raise OutOfTeaError

    client = TestClient(app)
    assert client.get("/http").status_code == 418
    with client.websocket_connect("/ws") as websocket, pytest.raises(Exception, match="4004"):
        websocket.receive_text()
