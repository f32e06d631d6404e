"""Middleware around an app: what it adds to the scope is there, and messages still take the direct way if they can."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.routing import Mount
from trio.testing import MockClock

from wsframework import App, WebSocket, WebSocketEndpoint, WebSocketRoute, WebSocketStateError
from wsframework.asgi import ASGITransport
from wsframework.server.connection import Connection
from wsframework.testing import HandshakeRefused, TestClient, connect


class ByHeader(AuthenticationBackend):
    """Believes what the client says its name is."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.headers.get("x-user")
        if name == "mallory":
            raise AuthenticationError("not you")
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


class PassOn:
    """Pure ASGI middleware that touches nothing."""

    def __init__(self, app: Any, log: list[str]) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._log.append(scope["type"])
        await self._app(scope, receive, send)


class Wrap:
    """Pure ASGI middleware that sees every event."""

    def __init__(self, app: Any, log: list[str]) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def tell(event: Any) -> None:
            self._log.append(event["type"])
            await send(event)

        await self._app(scope, receive, tell)


async def pass_through(request: Request, call_next: Any) -> Any:
    return await call_next(request)


def app_that_tells(*middleware: Any) -> App:
    """An app whose endpoint says what its WebSocket has."""
    app = App(middleware=middleware)

    @app.websocket("/room/{name}", name="room")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        told = {
            "transport": type(websocket.transport).__name__,
            "url": str(websocket.url_for("room", name="green")),
            "path": str(app.url_path_for("room", name="blue")),
            "scope": websocket.scope["path"],
        }
        if "user" in websocket.scope:
            told |= {"user": websocket.user.display_name, "auth": websocket.auth.scopes}
        if "session" in websocket.scope:
            told["session"] = dict(websocket.session)
        await websocket.send_json(told)

    return app


async def tell(app: App, **headers: str) -> Any:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connect(app, "/room/red", headers=fields) as client:
        return await client.receive_json()


UNTOUCHED = {
    "none": [],
    "authentication": [Middleware(AuthenticationMiddleware, backend=ByHeader())],
    "trusted host": [Middleware(TrustedHostMiddleware, allowed_hosts=["testserver", "localhost", "127.0.0.1"])],
    "gzip": [Middleware(GZipMiddleware)],
    "base http": [Middleware(BaseHTTPMiddleware, dispatch=pass_through)],
    "pure": [Middleware(PassOn, log=[])],
}
WRAPPED = {
    "session": [Middleware(SessionMiddleware, secret_key="for this test")],
    "pure": [Middleware(Wrap, log=[])],
}


@pytest.mark.parametrize("name", UNTOUCHED)
async def test_the_direct_way(name: str, autojump_clock: MockClock) -> None:
    """Middleware that leaves receive and send alone costs nothing for each message."""
    assert (await tell(app_that_tells(*UNTOUCHED[name])))["transport"] == Connection.__name__


@pytest.mark.parametrize("name", WRAPPED)
async def test_the_way_through_middleware(name: str, autojump_clock: MockClock) -> None:
    """Middleware that wraps one of them sees every event."""
    assert (await tell(app_that_tells(*WRAPPED[name])))["transport"] == ASGITransport.__name__


async def test_url_for_and_scope(autojump_clock: MockClock) -> None:
    """URLs are made from the names of routes, as for the host that the client asked."""
    told = await tell(app_that_tells())
    assert told["url"] == "ws://testserver/room/green"
    assert (told["path"], told["scope"]) == ("/room/blue", "/room/red")


async def test_url_for_in_a_mounted_app(autojump_clock: MockClock) -> None:
    """Names are those of the app that the client came through, as in Starlette."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.url_for("chat:room", name="green").path)

    app = App([Mount("/chat", routes=[WebSocketRoute("/{name}", endpoint, name="room")], name="chat")])
    async with connect(app, "/chat/red") as client:
        assert await client.receive() == "/chat/green"


async def test_user_and_auth(autojump_clock: MockClock) -> None:
    """AuthenticationMiddleware says who the client is, or refuses it."""
    app = app_that_tells(*UNTOUCHED["authentication"])
    told = await tell(app, x_user="ada")
    assert (told["user"], told["auth"]) == ("ada", ["authenticated"])
    assert ((await tell(app))["user"], (await tell(app))["auth"]) == ("", [])
    with pytest.raises(HandshakeRefused) as refused:
        await tell(app, x_user="mallory")
    assert refused.value.status == 403


async def test_trusted_host(autojump_clock: MockClock) -> None:
    """TrustedHostMiddleware answers a handshake for another host with 400."""
    app = app_that_tells(Middleware(TrustedHostMiddleware, allowed_hosts=["chat.example.com"]))
    with pytest.raises(HandshakeRefused) as refused:
        await tell(app)
    assert (refused.value.status, refused.value.body) == (400, b"Invalid host header")


def test_session() -> None:
    """What an HTTP route has put into the session is there for the WebSocket."""
    app = app_that_tells(*WRAPPED["session"])

    @app.route("/login")
    async def login(request: Request) -> str:
        request.session["name"] = "ada"
        return "welcome"

    client = TestClient(app)
    client.get("/login")
    with client.websocket_connect("/room/red") as websocket:
        assert websocket.receive_json()["session"] == {"name": "ada"}


async def test_without_middleware_there_is_no_session() -> None:
    """The error is Starlette's."""
    app = App()

    @app.websocket("/")
    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        for name in ("session", "user", "auth"):
            with pytest.raises(AssertionError, match="must be installed"):
                getattr(websocket, name)

    async with connect(app) as client:
        assert (await client.wait_closed()).code == 1000


async def test_the_order(autojump_clock: MockClock) -> None:
    """The first is outermost; what is added later is further out; the lifespan goes through all of it."""
    log: list[str] = []

    class Named:
        def __init__(self, app: Any, name: str) -> None:
            self._app, self._name = app, name

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            log.append(f"{self._name} {scope['type']}")
            await self._app(scope, receive, send)

    app = app_that_tells(Middleware(Named, name="outer"), Middleware(Named, name="inner"))
    app.add_middleware(Named, name="outermost")
    await tell(app)
    names = ["outermost", "outer", "inner"]
    assert log == [f"{name} lifespan" for name in names] + [f"{name} websocket" for name in names]
    with pytest.raises(WebSocketStateError, match="this app has been called already"):
        app.add_middleware(Named, name="too late")
    with pytest.raises(WebSocketStateError, match="this app has been called already"):
        app.add_exception_handler(500, lambda request, error: None)


def test_errors_in_http_middleware() -> None:
    """They are 500, as an error in a route is: the middleware that answers stands outside."""

    async def fail(request: Request, call_next: Any) -> Any:
        raise ZeroDivisionError

    client = TestClient(App(middleware=[Middleware(BaseHTTPMiddleware, dispatch=fail)]), raise_server_exceptions=False)
    assert client.get("/").status_code == 500


# Around one route


def by_route(app: App, endpoint: Any, middleware: list[Middleware]) -> None:
    app.add_route(WebSocketRoute("/", endpoint, middleware=middleware))


def by_decorator(app: App, endpoint: Any, middleware: list[Middleware]) -> None:
    app.websocket("/", middleware=middleware)(endpoint)


def by_route_decorator(app: App, endpoint: Any, middleware: list[Middleware]) -> None:
    app.route("/", websocket=True, middleware=middleware)(endpoint)


class Noted:
    """Notes what it is called when a connection passes."""

    def __init__(self, app: Any, log: list[str], *, name: str) -> None:
        self._app = app
        self._log = log
        self._name = name

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            self._log.append(self._name)
        await self._app(scope, receive, send)


@pytest.mark.parametrize("add", [by_route, by_decorator, by_route_decorator])
@pytest.mark.parametrize("kind", ["function", "class"])
async def test_middleware_of_one_route(add: Any, kind: str, autojump_clock: MockClock) -> None:
    """The first is outermost, the app's comes before it and the app's hooks after it, and messages still take the
    direct way. Other routes have none of it."""
    log: list[str] = []
    app = App(middleware=[Middleware(Noted, log, name="app")])

    async def function(websocket: WebSocket) -> None:
        await websocket.accept()
        log.append(type(websocket.transport).__name__)

    class Endpoint(WebSocketEndpoint):
        async def on_connect(self, websocket: WebSocket) -> None:
            await function(websocket)
            await websocket.close()

    @app.before_request(websocket=True)
    async def hook(websocket: WebSocket) -> None:
        log.append("hook")

    endpoint: Any = function if kind == "function" else Endpoint
    add(app, endpoint, [Middleware(Noted, log, name="outer"), Middleware(Noted, log, name="inner")])
    app.add_route(WebSocketRoute("/other", function))
    async with connect(app, "/") as client:
        await client.wait_closed()
    assert log == ["app", "outer", "inner", "hook", "Connection"]
    log.clear()
    async with connect(app, "/other") as client:
        await client.wait_closed()
    assert log == ["app", "hook", "Connection"]


async def test_middleware_of_one_route_may_wrap_and_refuse(autojump_clock: MockClock) -> None:
    """It sees every event, and what it does not pass on is not reached."""
    log: list[str] = []
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["testserver"])
    elsewhere = Middleware(TrustedHostMiddleware, allowed_hosts=["example.com"])

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for message in websocket:
            await websocket.send_text(str(message))

    app = App(
        [
            WebSocketRoute("/", echo, middleware=[hosts, Middleware(Wrap, log)]),
            WebSocketRoute("/elsewhere", echo, middleware=[elsewhere, Middleware(Wrap, log)]),
        ]
    )
    async with connect(app, "/") as client:
        await client.send("hello")
        assert await client.receive() == "hello"
    assert log == ["websocket.accept", "websocket.send"]
    with pytest.raises(HandshakeRefused):
        async with connect(app, "/elsewhere"):
            raise AssertionError("entered")  # pragma: no cover
    assert len(log) == 2


def test_middleware_of_an_http_route() -> None:
    """`@app.route` takes it for HTTP as well."""
    log: list[str] = []
    app = App()

    @app.route("/", middleware=[Middleware(PassOn, log)])
    async def page(request: Request) -> str:
        return "page"

    assert TestClient(app).get("/").text == "page"
    assert log == ["http"]


@pytest.mark.parametrize("websocket", [True, False])
def test_a_class_in_the_place_of_middleware(websocket: bool) -> None:
    """The error says what to write."""

    async def endpoint(websocket: WebSocket) -> None:
        raise AssertionError("called")  # pragma: no cover

    async def page(request: Request) -> str:
        raise AssertionError("called")  # pragma: no cover

    decorate: Any = App().route("/", websocket=websocket, middleware=[PassOn])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"write Middleware\(PassOn, \.\.\.\) in the list"):
        decorate(endpoint if websocket else page)
