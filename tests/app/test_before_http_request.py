"""Hooks before HTTP requests: they may answer, raise or just look, and are no hooks of WebSockets."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from wsframework import (
    App,
    HTTPException,
    WebSocket,
)
from wsframework.testing import TestClient


def test_http_hooks() -> None:
    """They run before any route, in order; what one returns is the response, and the rest is not reached."""
    log: list[str] = []

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"page for {request.state.user}")

    app = App([Route("/page", page)])

    @app.before_request
    async def first(request: Request) -> Any:
        request.state.user = request.query_params.get("user")
        if request.query_params.get("maintenance"):
            return {"error": "closed"}
        return None

    @app.before_request()
    def second(request: Request) -> None:
        log.append(request.url.path)
        if request.state.user is None:
            raise HTTPException(401, "log in")

    client = TestClient(app)
    assert client.get("/page?user=ada").text == "page for ada"
    assert client.get("/page").status_code == 401
    assert client.get("/nowhere").status_code == 401
    assert client.get("/page?maintenance=1").json() == {"error": "closed"}
    assert log == ["/page", "/page", "/nowhere"]


def test_http_and_websocket_hooks_are_two_things() -> None:
    """A hook for the one does not run before the other."""
    app = App()

    @app.before_request
    async def for_http(request: Request) -> str:
        return "stopped"

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("open")

    client = TestClient(app)
    with client.websocket_connect("/") as websocket:
        assert websocket.receive_text() == "open"
    assert client.get("/").text == "stopped"


def test_objects_that_are_called() -> None:
    """A hook and what answers may be ones with an async __call__."""
    app = App()

    class Stopped:
        async def __call__(self, request: Request) -> str | None:
            return "stopped" if request.url.path == "/stop" else None

    class Hello:
        async def __call__(self, request: Request) -> str:
            return "hello"

    app.before_request(Stopped())
    app.route("/", name="hello")(Hello())
    client = TestClient(app)
    assert client.get("/").text == "hello"
    assert client.get("/stop").text == "stopped"
