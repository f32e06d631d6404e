"""Hooks before requests: they come before the endpoint, and may accept, close, refuse, raise or just look."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.routing import WebSocketRoute as StarletteRoute
from starlette.websockets import WebSocket as StarletteWebSocket
from trio.testing import MockClock

from wsframework import (
    App,
    CloseCode,
    HTTPException,
    WebSocket,
    WebSocketEndpoint,
    WebSocketException,
    WebSocketRoute,
    WebSocketStateError,
)
from wsframework.server.connection import Connection
from wsframework.testing import HandshakeRefused, connect


class Echo(WebSocketEndpoint):
    """Notes what becomes of it."""

    log: list[str]

    async def on_connect(self, websocket: WebSocket) -> None:
        self.log.append("on_connect")
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        await websocket.send_text(data)

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.log.append(f"on_disconnect {close_code}")


def app_with_echo(log: list[str]) -> App:
    """An app with a class, a function and a Starlette endpoint that all say what they get."""
    app = App()
    app.websocket("/class")(type("LoggedEcho", (Echo,), {"log": log}))

    @app.websocket("/function")
    async def echo(websocket: WebSocket) -> None:
        log.append("function")
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    async def starlette_echo(websocket: StarletteWebSocket) -> None:
        log.append("starlette")
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    app.mount("/mounted", Starlette(routes=[StarletteRoute("/", starlette_echo)]))
    app.add_route(StarletteRoute("/route", starlette_echo))
    app.add_route(Mount("/below", routes=[WebSocketRoute("/ours", echo), StarletteRoute("/theirs", starlette_echo)]))
    inner = App()
    inner.websocket("/")(echo)
    app.mount("/app", inner)
    return app


PATHS = ["/class", "/function", "/mounted/", "/route", "/below/ours", "/below/theirs", "/app/"]


@pytest.mark.parametrize("path", PATHS)
async def test_hooks_come_first_and_in_order(path: str, autojump_clock: MockClock) -> None:
    """Two hooks run before any kind of endpoint, in the order in which they were added."""
    log: list[str] = []
    app = app_with_echo(log)

    @app.before_request(websocket=True)
    async def first(websocket: WebSocket) -> None:
        log.append("first")

    @app.before_request(websocket=True)
    async def second(websocket: WebSocket) -> None:
        log.append("second")

    async with connect(app, path) as client:
        await client.send("hello")
        assert await client.receive() == "hello"
    assert log[:2] == ["first", "second"]
    assert log[2] in ("on_connect", "function", "starlette")


@pytest.mark.parametrize("path", PATHS)
async def test_a_hook_accepts(path: str, autojump_clock: MockClock) -> None:
    """The hook accepts, with a subprotocol, and says hello; the endpoint's own accept is no error."""
    app = app_with_echo([])

    @app.before_request(websocket=True)
    async def accept(websocket: WebSocket) -> None:
        await websocket.accept("v1")
        await websocket.send_text("from the hook")

    async with connect(app, path, subprotocols=["v1"]) as client:
        assert client.subprotocol == "v1"
        await client.send("hello")
        assert [await client.receive(), await client.receive()] == ["from the hook", "hello"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_hook_closes(path: str, autojump_clock: MockClock) -> None:
    """Before accept that is 403, and nothing behind the hook is reached, on_disconnect neither."""
    log: list[str] = []
    app = app_with_echo(log)

    @app.before_request(websocket=True)
    async def close(websocket: WebSocket) -> None:
        await websocket.close()

    @app.before_request(websocket=True)
    async def after(websocket: WebSocket) -> None:
        log.append("after")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path):
            pass
    assert refused.value.status == 403
    assert log == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_hook_accepts_and_closes(path: str, autojump_clock: MockClock) -> None:
    """The client gets the code, which a page can read, and the endpoint is not reached."""
    log: list[str] = []
    app = app_with_echo(log)

    @app.before_request(websocket=True)
    async def close(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close(4401, "log in first")

    async with connect(app, path) as client:
        end = await client.wait_closed()
    assert (end.code, end.reason) == (4401, "log in first")
    assert log == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (WebSocketException(CloseCode.POLICY_VIOLATION, "who are you?"), 403, b"who are you?\n"),
        (HTTPException(401, "log in", {"www-authenticate": "Bearer"}), 401, b"log in"),
    ],
    ids=["WebSocketException", "HTTPException"],
)
async def test_a_hook_raises(
    path: str, error: Exception, status: int, body: bytes, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises refuses the handshake, as in an endpoint."""
    log: list[str] = []
    app = app_with_echo(log)

    @app.before_request(websocket=True)
    async def refuse(websocket: WebSocket) -> None:
        raise error

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path):
            pass
    assert (refused.value.status, refused.value.body) == (status, body)
    assert log == []
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@pytest.mark.parametrize("path", PATHS)
async def test_a_hook_denies(path: str, autojump_clock: MockClock) -> None:
    """It may refuse with a response of its own."""
    app = app_with_echo([])

    @app.before_request(websocket=True)
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(JSONResponse({"error": "full"}, 503, {"retry-after": "5"}))

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path):
            pass
    assert (refused.value.status, refused.value.body) == (503, b'{"error":"full"}')
    assert (b"retry-after", b"5") in refused.value.headers


@pytest.mark.parametrize("path", PATHS)
async def test_a_hook_that_fails(path: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """An error of its own is 500, without its text, and logged once."""
    log: list[str] = []
    app = app_with_echo(log)

    @app.before_request(websocket=True)
    async def fail(websocket: WebSocket) -> None:
        raise ZeroDivisionError("a secret")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, path, raise_app_errors=False):
            pass
    assert refused.value.status == 500
    assert b"secret" not in refused.value.body
    assert log == []
    assert len(caplog.records) == 1


async def test_another_accept_that_asks_for_more(autojump_clock: MockClock) -> None:
    """An accept whose headers would be lost is an error that says so; so is a second one of the endpoint."""
    app = App()
    errors: list[str] = []

    @app.before_request(websocket=True)
    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        for arguments in ({"headers": [(b"x-a", b"b")]}, {"subprotocol": "v1"}, {}, {}):
            try:
                await websocket.accept(**arguments)  # type: ignore[arg-type]
            except WebSocketStateError as error:
                errors.append(str(error))

    async with connect(app, subprotocols=["v1"]) as client:
        await client.wait_closed()
    assert len(errors) == 3
    assert "give them to the hook's accept" in errors[0]
    assert errors[2] == "accept was called twice"


async def test_several_hooks_accept(autojump_clock: MockClock) -> None:
    """Each hook may accept where an earlier one has: it need not know of the other."""
    app = App()

    async def accept(websocket: WebSocket) -> None:
        await websocket.accept()

    app.before_request(websocket=True)(accept)
    app.before_request(websocket=True)(accept)

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("fine")

    async with connect(app) as client:
        assert await client.receive() == "fine"


async def test_a_hook_is_cancelled_when_its_client_leaves(autojump_clock: MockClock) -> None:
    """After the grace of a second; the endpoint is not reached."""
    log: list[str] = []
    app = app_with_echo(log)
    began = trio.current_time()

    @app.before_request(websocket=True)
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await trio.sleep_forever()
        finally:
            log.append(f"hook ends after {trio.current_time() - began:g} s")

    async with connect(app, "/class") as client:
        await client.close()
    assert log == ["hook ends after 1 s"]


async def test_what_the_client_sent_during_a_hook(autojump_clock: MockClock) -> None:
    """It is delivered to the endpoint, although the client has left by then."""
    heard: list[str] = []
    app = App()

    @app.before_request(websocket=True)
    async def slow(websocket: WebSocket) -> None:
        await websocket.accept()
        await trio.sleep(0.5)

    @app.websocket("/")
    class Listener(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: str) -> None:
            heard.append(data)

    async with connect(app) as client:
        await client.send("still there?")
        await client.close()
    assert heard == ["still there?"]


async def test_apps_in_apps(autojump_clock: MockClock) -> None:
    """The outer app's hooks come before those of the app that is mounted in it, and only there."""
    log: list[str] = []
    outer, inner = App(), App()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()

    @outer.before_request(websocket=True)
    async def first(websocket: WebSocket) -> None:
        log.append("outer")

    @inner.before_request(websocket=True)
    async def second(websocket: WebSocket) -> None:
        log.append("inner")

    for app in (outer, inner):
        app.websocket("/")(endpoint)
    outer.mount("/inner", inner)
    async with connect(outer, "/inner/"):
        pass
    async with connect(outer, "/"):
        pass
    assert log == ["outer", "inner", "outer"]


async def test_no_hook_for_a_path_that_is_not_there(autojump_clock: MockClock) -> None:
    """An unknown path is 404, and no hook sees it."""
    app = App()

    @app.before_request(websocket=True)
    async def hook(websocket: WebSocket) -> None:
        raise AssertionError("not reached")

    with pytest.raises(HandshakeRefused) as refused:
        async with connect(app, "/nowhere"):
            pass
    assert refused.value.status == 404


def test_mistakes() -> None:
    """A hook that cannot be called is found where it is written."""
    app = App()
    with pytest.raises(TypeError, match="write `async def plain"):

        @app.before_request(websocket=True)
        def plain(websocket: WebSocket) -> None: ...

    with pytest.raises(TypeError, match="nothing is called with the WebSocket"):

        @app.before_request(websocket=True)
        async def nothing() -> None: ...

    with pytest.raises(TypeError, match="like_responder is called with the request and nothing else"):

        @app.before_request
        def like_responder(request: Request, response: Any) -> None: ...

    with pytest.raises(TypeError, match="above a function"):
        app.before_request("/path")  # type: ignore[call-overload]


@pytest.mark.parametrize("path", ["/class", "/function", "/below/class", "/mounted/it", "/app/"])
async def test_our_endpoints_keep_the_direct_way(path: str, autojump_clock: MockClock) -> None:
    """A hook does not stand between an endpoint of ours and the server, wherever the endpoint is mounted."""
    app = App()
    transports: list[Any] = []

    @app.before_request(websocket=True)
    async def look(websocket: WebSocket) -> None:
        transports.append(websocket.transport)

    async def function(websocket: WebSocket) -> None:
        transports.append(websocket.transport)
        await websocket.accept()

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await function(websocket)

    inner = App()
    inner.websocket("/")(function)
    app.websocket("/class")(Endpoint)
    app.websocket("/function")(function)
    app.add_route(Mount("/below", routes=[WebSocketRoute("/class", Endpoint)]))
    app.mount("/mounted", Endpoint)
    app.mount("/app", inner)
    async with connect(app, path):
        pass
    [of_hook, of_endpoint] = transports
    assert of_hook is of_endpoint
    assert isinstance(of_endpoint, Connection)
