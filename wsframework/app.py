"""`App`: routes, a hub, and the lifespan that both live in. An ASGI application for Trio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, TypeVar, overload

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URLPath
from starlette.middleware import Middleware
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.routing import BaseRoute, Mount, Route

from .compression import COMPRESSION, Compression, check_compression
from .dependencies import HUB, Application
from .elsewhere import OF_APPS, CalledOtherwise
from .errors import WebSocketStateError
from .eventstream import EventStream
from .handlers import HANDLERS, ExceptionHandlers, Function, Key, check_key
from .hooks import HOOKS, Hook
from .hub import Hub, Overflow
from .lifespan import check_lifespan, on_trio, refuse_asyncio, serve_lifespan
from .origin import CHECKED, SAME_ORIGIN, OriginPolicy
from .refusal import refuse_origin
from .responses import check_http_function, is_async, respond_with, to_response
from .router import AppRouter
from .routing import WebSocketRoute, check_middleware
from .websocket import Receive, Scope, Send, WebSocket

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Hooked = TypeVar("Hooked", bound=Callable[..., Any])
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Lifespan = Callable[["App"], AbstractAsyncContextManager[Mapping[str, Any] | None]]


class App(Application, CalledOtherwise, elsewhere=OF_APPS):
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
        middleware: Starlette's ``Middleware``, around everything in this app; the first one is outermost.
        exception_handlers: functions by class of exception or by status, as for `exception_handler`.
        debug: show tracebacks to clients: of HTTP routes in the browser, of WebSockets as the body of a 500, or the
            last line of one as the reason of a close.
    """

    def __init__(
        self,
        routes: Sequence[BaseRoute] = (),
        *,
        lifespan: Lifespan | None = None,
        hub: Hub | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
        middleware: Sequence[Middleware] = (),
        exception_handlers: Mapping[Key, Function] | None = None,
        debug: bool = False,
    ) -> None:
        super().__init__()
        self.origins: OriginPolicy | None = None if allowed_origins is None else OriginPolicy(allowed_origins)
        self.hub: Hub = Hub() if hub is None else hub
        if not isinstance(self.hub, Hub):
            raise TypeError(f"hub is a Hub, such as Hub(capacity=100), not {hub!r}")
        self._compression = check_compression(compression)
        self._lifespan = _no_lifespan if lifespan is None else check_lifespan(lifespan)
        self._router = AppRouter()
        self._hooks: tuple[Hook, ...] = ()
        self._http_hooks: list[Callable[[Request], Any]] = []
        self._handlers = ExceptionHandlers(debug)
        self._http = ExceptionMiddleware(self._serve_http, debug=debug)
        self._server_error: Function | None = None
        self._middleware = [check_middleware(entry) for entry in middleware]
        self._stack: ASGIApp | None = None  # made for the first connection, when everything has been added
        self._http_stack: ASGIApp = self._dispatch
        for route in _check_routes(routes):
            self.add_route(route)
        for key, function in (exception_handlers or {}).items():
            self.add_exception_handler(key, function)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes, in the order in which they are tried."""
        return self._router.routes

    def add_route(self, route: BaseRoute) -> None:
        """Add a route behind those that are there: a `WebSocketRoute`, or Starlette's ``Route``, ``Mount``, ``Host``.

        Raises:
            TypeError: it is none.
        """
        self._router.add(route)

    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
        middleware: Sequence[Middleware] | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Serve WebSockets at ``path`` with the class or the function below, as a `WebSocketRoute` does."""
        _check_path(path, "websocket")

        def decorate(endpoint: Endpoint) -> Endpoint:
            self.add_route(
                WebSocketRoute(
                    path,
                    endpoint,
                    name=name,
                    allowed_origins=allowed_origins,
                    compression=compression,
                    middleware=middleware,
                )
            )
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
        middleware: Sequence[Middleware] | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Serve HTTP at ``path`` with the function below; with ``websocket=True`` the same as `websocket`.

        The function takes Starlette's ``Request`` and returns one of its responses, or a string (sent as plain text),
        bytes, or anything else that can be JSON.
        """
        _check_path(path, "route")
        if websocket:
            return self.websocket(
                path, name=name, allowed_origins=allowed_origins, compression=compression, middleware=middleware
            )
        if allowed_origins is not None:
            raise TypeError(
                "allowed_origins is for WebSockets, and HTTP is not checked: add websocket=True, or leave it"
            )

        if isinstance(methods, str):
            raise TypeError(f'methods is a list: write methods=["{methods}"]')

        def decorate(endpoint: Endpoint) -> Endpoint:
            respond = respond_with(check_http_function(endpoint, f'@app.websocket("{path}")'))
            around = [check_middleware(entry) for entry in middleware or ()]
            route = Route(path, respond, methods=list(methods), name=name or endpoint.__name__, middleware=around)
            self.add_route(route)
            return endpoint

        return decorate

    def event_stream(
        self,
        path: str,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        latest: bool = False,
        name: str | None = None,
    ) -> None:
        """Stream a topic of the hub as server-sent events at ``path``, to everybody.

        To choose who may have it, or which topic it is, return an `EventStream` from a route of your own.
        """

        async def stream(request: Request) -> EventStream:
            return EventStream(
                self.hub, topic, overflow=overflow, capacity=capacity, max_bytes=max_bytes, latest=latest
            )

        self.add_route(Route(path, stream, name=name or topic))

    def mount(self, path: str, app: Any, *, name: str | None = None) -> None:
        """Serve everything below ``path`` with another ASGI application."""
        if not isinstance(path, str) or not callable(app):
            raise TypeError(
                f'mount takes a path and an ASGI application: mount("/path", app), not {path!r} and {app!r}'
            )
        self.add_route(Mount(path, app=app, name=name))

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the route with this name. Raises Starlette's ``NoMatchFound``."""
        return self._router.url_path_for(name, **path_params)

    # What runs around the endpoints

    @overload
    def before_request(self, function: Hooked, /) -> Hooked: ...

    @overload
    def before_request(self, function: None = None, /, *, websocket: bool = False) -> Callable[[Hooked], Hooked]: ...

    def before_request(self, function: Any = None, /, *, websocket: bool = False) -> Any:
        """Run the function below before every HTTP request, or with ``websocket=True`` before every WebSocket.

        Write ``@app.before_request`` or ``@app.before_request(websocket=True)``. Several run in the order in which they
        were added.

        For HTTP: the function gets Starlette's ``Request``, before a route is looked for. What it returns, if that is
        not None, is the response. One that is not async runs in a worker thread.

        For WebSockets: the async function gets the `WebSocket`, when a route has been found, and may have dependencies.
        It may return; accept, and the endpoint's own ``accept()`` is then no error; close, refuse or raise, and the
        endpoint is not reached. It runs before mounted applications too. When the client leaves it is cancelled.

        Raises:
            TypeError: it cannot be called like this.
        """

        def decorate(function: Hooked) -> Hooked:
            if not callable(function):
                raise TypeError(f"write @app.before_request above a function; {function!r} is none")
            if websocket:
                self._hooks = (*self._hooks, Hook.of(function))
            else:
                self._http_hooks.append(check_http_function(function, "@app.before_request(websocket=True)"))
            return function

        return decorate if function is None else decorate(function)

    def exception_handler(self, key: Key, *, websocket: bool | None = None) -> Callable[[Hooked], Hooked]:
        """Have the function below answer for a class of exceptions, or for a status such as 404.

        It is called with the connection and the exception. For HTTP that is Starlette's ``Request``, and it returns a
        response. For WebSockets it is the `WebSocket`: the function may close it, refuse it, or return a response,
        which refuses it; whatever it does, the connection is over then.

        Args:
            key: a class of exceptions, or the status of an `HTTPException`. ``Exception`` or 500 is for those that
                nobody expected, which are logged all the same.
            websocket: True for WebSockets only, False for HTTP only; both by default, as in Starlette.
        """
        check_key(key)

        def decorate(function: Hooked) -> Hooked:
            self.add_exception_handler(key, function, websocket=websocket)
            return function

        return decorate

    def add_exception_handler(self, key: Key, handler: Function, *, websocket: bool | None = None) -> None:
        """The same as `exception_handler`, without a decorator."""
        check_key(key)
        if not callable(handler):
            raise TypeError(f"an exception handler is a function of the connection and the exception, not {handler!r}")
        if websocket is not False:
            self._handlers.add(key, handler)
        if websocket is not True:
            if key in (500, Exception):
                self._check_not_started("a handler for errors that nobody expected")
                self._server_error = handler
            else:
                self._http.add_exception_handler(key, handler)

    def add_middleware(self, middleware_class: Any, *args: Any, **kwargs: Any) -> None:
        """Put ASGI middleware around everything in this app, outside of what is there.

        Raises:
            WebSocketStateError: the app has been called already.
        """
        self._check_not_started("middleware")
        self._middleware.insert(0, Middleware(middleware_class, *args, **kwargs))

    def _check_not_started(self, what: str) -> None:
        if self._stack is not None:
            raise WebSocketStateError(f"{what} cannot be added any more: this app has been called already")

    # What servers call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not on_trio():
            await refuse_asyncio(scope, receive, send)
            return
        scope["app"] = self
        scope[HUB] = self.hub
        stack = self._stack or self._build_stack()
        if scope["type"] == "http":
            # A client that leaves in the middle of its request is not an error of ours to log.
            with suppress(ClientDisconnect):
                await self._http_stack(scope, receive, send)
        else:
            await stack(scope, receive, send)

    def _build_stack(self) -> ASGIApp:
        stack: ASGIApp = self._dispatch
        for middleware, args, kwargs in reversed(self._middleware):
            stack = middleware(stack, *args, **kwargs)
        self._stack = stack
        self._http_stack = ServerErrorMiddleware(stack, self._server_error, self._handlers.debug)
        return stack

    # Not async, for a coroutine of its own would be one more that is passed each time an endpoint's task goes on.
    def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        match scope["type"]:
            case "websocket":
                return self._serve_websocket(scope, receive, send)
            case "http":
                return self._http(scope, receive, send)
            case "lifespan":
                return serve_lifespan(self._life(), scope, receive, send)
            case unknown:
                raise ValueError(f"an App serves websocket, http and lifespan, not {unknown!r}")

    def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope.setdefault("router", self._router.http)
        if self._compression is not None:
            scope[COMPRESSION] = self._compression
        if not self._lets_in(scope):
            return refuse_origin(WebSocket(scope, receive, send))
        if self._hooks:
            scope[HOOKS] = (*scope.get(HOOKS, ()), *self._hooks)
        if self._handlers.needed:
            scope[HANDLERS] = (self._handlers, *scope.get(HANDLERS, ()))
        return self._router.websocket.app(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        for hook in self._http_hooks:
            request = Request(scope, receive, send)
            result = await (hook(request) if is_async(hook) else run_in_threadpool(hook, request))
            if result is not None:
                await to_response(result)(scope, receive, send)
                return
        await self._router.http(scope, receive, send)

    def _lets_in(self, scope: Scope) -> bool:
        if self.origins is None and CHECKED in scope:
            return True  # we are mounted in an application that has looked
        policy = SAME_ORIGIN if self.origins is None else self.origins
        if policy.allows(scope):
            scope[CHECKED] = True
            return True
        # Whoever has this list looks again: middleware on the way may lead to a route that has none.
        scope.pop(CHECKED, None)
        nearer = self._router.find_policy(scope)
        return nearer is not None and nearer.allows(scope)

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[Mapping[str, Any] | None]:
        async with self.hub.running(), self._lifespan(self) as state:
            yield state


def _check_routes(routes: Iterable[BaseRoute]) -> Iterable[BaseRoute]:
    if isinstance(routes, BaseRoute):
        raise TypeError("routes is a list: write App(routes=[...])")
    return routes


def _check_path(path: Any, decorator: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f'the path is missing: write @app.{decorator}("/path"), not @app.{decorator}')


@asynccontextmanager
async def _no_lifespan(app: App) -> AsyncIterator[None]:
    yield
