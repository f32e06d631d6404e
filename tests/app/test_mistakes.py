"""Mistakes with an app and its parts: names and arguments of other frameworks, and what is no route, hub or hook."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request

from tests.asgi.server import ASGIServer
from wsframework import App, Hub, StartupError, WebSocket, WebSocketEndpoint, WebSocketRoute, serve
from wsframework.server import Server


def make_websocket() -> WebSocket:
    server = ASGIServer()
    return WebSocket(server.scope, server.receive, server.send)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (Hub, "publish", 'await hub.broadcast("topic", data)'),
        (Hub, "join", 'await hub.subscribe(websocket, "topic")'),
        (make_websocket, "hub", "websocket.app.hub"),
        (make_websocket, "recv", "await websocket.receive_text()"),
        (App, "get", '@app.route("/path")'),
        (App, "post", 'methods=["POST"]'),
        (App, "websocket_route", '@app.websocket("/path")'),
        (App, "add_websocket_route", "app.add_route(WebSocketRoute("),
        (App, "include_router", "app.mount("),
        (App, "on_event", "lifespan"),
        (App, "run", "wsframework run"),
        (App, "publish", "app.hub.broadcast("),
    ],
)
def test_names_of_other_frameworks(make: Callable[[], object], name: str, words: str) -> None:
    """What is called otherwise elsewhere is no attribute, and the error says what to write."""
    thing = make()
    assert not hasattr(thing, name)
    with pytest.raises(AttributeError) as caught:
        getattr(thing, name)
    assert words in str(caught.value)
    assert name not in dir(thing)


def test_a_name_that_nobody_has() -> None:
    """It is the error that Python makes."""
    with pytest.raises(AttributeError, match="'App' object has no attribute 'websockte'"):
        App().websockte  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_that_a_program_gives() -> None:
    """An attribute and a method of one's own may have any name."""

    class Shop(App):
        def get(self) -> str:
            return "tea"

    shop = Shop()
    shop.state = "open"  # type: ignore[attr-defined]
    assert (shop.get(), vars(shop)["state"]) == ("tea", "open")


async def on_websocket(websocket: WebSocket) -> None: ...


def on_request(request: Request) -> None: ...


async def once(app: App) -> None: ...


def plain(app: App) -> Iterator[None]:
    yield


async def bare(app: App) -> AsyncIterator[None]:
    yield


class Page(HTTPEndpoint): ...


def about(request: Request, page: str) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda app: App(WebSocketRoute("/", WebSocketEndpoint)), r"routes is a list: write App\(routes=\[...\]\)"),
        (lambda app: App([WebSocketEndpoint]), "a route is a WebSocketRoute, or Starlette's Route or Mount"),
        (lambda app: app.add_route("/"), "a route is a WebSocketRoute, or Starlette's Route or Mount, not '/'"),
        (lambda app: App(hub=Hub), "hub is a Hub, such as"),
        (lambda app: App(middleware=[SessionMiddleware]), r"write Middleware\(SessionMiddleware, ...\)"),
        (lambda app: App(lifespan=once), "write `async def once.app.` with a `yield`"),
        (lambda app: App(lifespan=plain), "write `async def plain.app.` with a `yield`"),
        (lambda app: App(lifespan=bare), "decorate bare with @asynccontextmanager"),
        (lambda app: App(lifespan={}), "lifespan is a function that takes the app"),
        (lambda app: app.mount(App(), "/api"), r'mount\("/path", app\), not <wsframework.app.App'),
        (lambda app: app.mount("/api", None), "not '/api' and None"),
        (lambda app: app.route("/", methods="POST"), r'write methods=\["POST"\]'),
        (lambda app: app.route("/")(Page), r"Page is a class: for HTTP, write `app.add_route\(Route\(path, Page\)\)`"),
        (lambda app: app.route("/")(nothing), "nothing is called with the request and nothing else"),
        (lambda app: app.route("/{page}")(about), "path_params and query_params"),
        (lambda app: app.route("/ws")(on_websocket), r'write @app.websocket\("/ws"\) above it'),
        (lambda app: app.before_request(about), r"or @app.before_request\(websocket=True\) if it is for WebSockets"),
        (lambda app: app.before_request(on_websocket), r"write @app.before_request\(websocket=True\) above it"),
        (lambda app: Hub(history=100), r"such as History\(size=100\), or a dict of them, not 100"),
        (lambda app: Hub(history={"news": 100}), "or a dict of them, not {'news': 100}"),
        (lambda app: Server(app, "127.0.0.1:0"), r"with bind = \['127.0.0.1:8000'\], not '127.0.0.1:0'"),
        (lambda app: Server(app, limits={"message": 1}), r"such as Limits\(message=65536\), not {'message': 1}"),
        (lambda app: app.exception_handler(on_request), r"write @app.exception_handler\(KeyError\), or"),
    ],
)
def test_arguments_that_cannot_be(make: Callable[[Any], Any], words: str) -> None:
    """They are found when the app is written, and the error says what to write."""
    with pytest.raises(TypeError, match=words):
        make(App())


def test_arguments_that_can_be() -> None:
    """What only looks like a mistake is none."""

    class Respond:
        def __call__(self, request: Request, detail: int = 3) -> str:
            return "x"

    app = App(lifespan=asynccontextmanager(bare))
    app.route("/", name="callable")(Respond())
    app.route("/built-in")(max)  # it does not say what it takes


def test_a_server_on_asyncio() -> None:
    """It says how to run it."""
    with pytest.raises(StartupError, match=r"write trio.run\(serve, app\), not asyncio.run"):
        asyncio.run(serve(App()))
