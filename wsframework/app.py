"""`App`: routes, a hub, and the lifespan that both live in. An ASGI application for Trio."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar

import trio
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router

from .compression import COMPRESSION, Compression, check_compression
from .dependencies import HUB, Application
from .encoding import encode_json
from .errors import StartupError, WebSocketStateError
from .hub import Hub
from .origin import CHECKED, SAME_ORIGIN, OriginPolicy
from .refusal import refuse, refuse_origin
from .routing import WebSocketRoute, find_policy, is_http_only
from .websocket import Receive, Scope, Send, WebSocket

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Lifespan = Callable[["App"], AbstractAsyncContextManager[Mapping[str, Any] | None]]

NEEDS_TRIO = (
    "this application needs Trio, and the server runs asyncio. "
    "Start it with `wsframework run module:app`, or with `hypercorn -k trio module:app`."
)


class App(Application):
    """An application of WebSocket endpoints and the few HTTP routes around them.

    Args:
        routes: `WebSocketRoute`, and Starlette's ``Route``, ``Mount`` and the like.
        lifespan: a function that takes the app and gives an async context manager around its life, as with
            ``contextlib.asynccontextmanager``. What it yields, if anything, becomes the state of every connection.
        hub: the hub for broadcasts; one with default bounds if not given.
        allowed_origins: whose pages may open WebSockets besides those of the same origin, such as
            ``["https://chat.example.com"]``, or ``["*"]`` for all pages of all sites. It holds for everything in this
            app, for mounted applications and unknown paths too; a `WebSocketRoute`, or an `App` that is mounted, may
            have a list of its own instead. Clients that send no Origin header are no browsers, and may connect.
        compression: ``"deflate"``, or `Deflate` with options, to compress messages for clients that can read that;
            ``"off"`` not to; None leaves it to the server, whose default is off. A `WebSocketRoute` may differ. It
            needs the server of wsframework.
        debug: show tracebacks of HTTP routes in the browser.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute] = (),
        *,
        lifespan: Lifespan | None = None,
        hub: Hub | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
        debug: bool = False,
    ) -> None:
        super().__init__()
        self.origins: OriginPolicy | None = None if allowed_origins is None else OriginPolicy(allowed_origins)
        self.hub: Hub = Hub() if hub is None else hub
        self._compression = check_compression(compression)
        if inspect.isasyncgenfunction(lifespan):
            raise TypeError(f"decorate {lifespan.__name__} with @asynccontextmanager, from contextlib")
        self._lifespan = _no_lifespan if lifespan is None else lifespan
        self._router = Router(default=_not_found)
        self._websocket_router = Router(default=_not_found)
        self._http = ServerErrorMiddleware(ExceptionMiddleware(self._router, debug=debug), debug=debug)
        for route in routes:
            self.add_route(route)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes, in the order in which they are tried."""
        return list(self._router.routes)

    def add_route(self, route: BaseRoute) -> None:
        """Add a route behind those that are there."""
        _answer_unknown_paths(route)
        self._router.routes.append(route)
        if not is_http_only(route):
            self._websocket_router.routes.append(route)

    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Serve WebSockets at ``path`` with the class or the function below."""
        _check_path(path, "websocket")

        def decorate(endpoint: Endpoint) -> Endpoint:
            route = WebSocketRoute(path, endpoint, name=name, allowed_origins=allowed_origins, compression=compression)
            self.add_route(route)
            return endpoint

        return decorate

    def route(
        self,
        path: str,
        *,
        websocket: bool = False,
        methods: Collection[str] = ("GET",),
        name: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Serve HTTP at ``path`` with the function below; with ``websocket=True`` the same as `websocket`.

        The function takes Starlette's ``Request`` and returns one of its responses, or a string (sent as plain text),
        bytes, or anything else that can be JSON.
        """
        _check_path(path, "route")
        if websocket:
            return self.websocket(path, name=name, allowed_origins=allowed_origins, compression=compression)
        if allowed_origins is not None:
            raise TypeError(
                "allowed_origins is for WebSockets, and HTTP is not checked: add websocket=True, or leave it"
            )

        def decorate(endpoint: Endpoint) -> Endpoint:
            self.add_route(Route(path, _respond_with(endpoint), methods=list(methods), name=name or endpoint.__name__))
            return endpoint

        return decorate

    def mount(self, path: str, app: Any, *, name: str | None = None) -> None:
        """Serve everything below ``path`` with another ASGI application."""
        self.add_route(Mount(path, app=app, name=name))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not trio.lowlevel.in_trio_task():
            if scope["type"] != "lifespan":
                raise StartupError(NEEDS_TRIO)
            await receive()
            await send({"type": "lifespan.startup.failed", "message": NEEDS_TRIO})
            return
        scope["app"] = self
        scope[HUB] = self.hub
        match scope["type"]:
            case "websocket":
                scope.setdefault("router", self._router)
                if self._compression is not None:
                    scope[COMPRESSION] = self._compression
                if self._lets_in(scope):
                    await self._websocket_router(scope, receive, send)
                else:
                    await refuse_origin(WebSocket(scope, receive, send))
            case "http":
                # A client that leaves in the middle of its request is not an error of ours to log.
                with suppress(ClientDisconnect):
                    await self._http(scope, receive, send)
            case "lifespan":
                await self._live(scope, receive, send)
            case unknown:
                raise ValueError(f"an App serves websocket, http and lifespan, not {unknown!r}")

    def _lets_in(self, scope: Scope) -> bool:
        if self.origins is None and CHECKED in scope:
            return True  # we are mounted in an application that has looked
        policy = SAME_ORIGIN if self.origins is None else self.origins
        if policy.allows(scope):
            scope[CHECKED] = True
            return True
        # Whoever has this list looks again: middleware on the way may lead to a route that has none.
        scope.pop(CHECKED, None)
        nearer = find_policy(self._websocket_router.routes, scope)
        return nearer is not None and nearer.allows(scope)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        phase = "startup"
        try:
            async with self.hub.running(), self._lifespan(self) as state:
                if state is not None:
                    if "state" not in scope:
                        raise WebSocketStateError("this server has no place for the state that the lifespan yields")
                    scope["state"].update(state)
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except Exception as error:
            told = "".join(traceback.format_exception(_unpack(error)))
            await send({"type": f"lifespan.{phase}.failed", "message": told})  # noqa: ASYNC120 - raised below
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _unpack(error: Exception) -> Exception:
    """Take the only error out of the groups that nurseries, the hub's among them, have put around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _check_path(path: Any, decorator: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f'the path is missing: write @app.{decorator}("/path"), not @app.{decorator}')


@asynccontextmanager
async def _no_lifespan(app: App) -> AsyncIterator[None]:
    yield


def _answer_unknown_paths(route: BaseRoute) -> None:
    """Have the routers below a ``Mount`` answer as ours does: Starlette's refuse an unknown WebSocket with 403."""
    router = route.app if isinstance(route, Mount) else None
    if isinstance(router, Router):
        if router.default == router.not_found:
            router.default = _not_found
        for below in router.routes:
            _answer_unknown_paths(below)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a path that no route knows: 404, for WebSockets too, if the server can refuse with a response."""
    if scope["type"] == "http":
        raise HTTPException(status_code=404)
    await refuse(WebSocket(scope, receive, send), 404, "Not Found")


def _respond_with(function: Callable[..., Any]) -> Callable[[Request], Any]:
    """Make a response out of what an HTTP function returns."""
    if inspect.iscoroutinefunction(function):

        async def respond(request: Request) -> Response:
            return _to_response(await function(request))

        return respond

    def respond_in_thread(request: Request) -> Response:
        return _to_response(function(request))

    return respond_in_thread


def _to_response(result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if isinstance(result, str):
        return PlainTextResponse(result)
    if isinstance(result, bytes):
        return Response(result, media_type="application/octet-stream")
    return Response(encode_json(result), media_type="application/json")
