"""Routes to WebSocket endpoints, beside Starlette's ``Route`` and ``Mount``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial

from starlette import routing
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from .dependencies import Call, Resolver, plan_function_endpoint
from .endpoint import WebSocketEndpoint
from .session import Session
from .websocket import Receive, Scope, Send, WebSocket

WebSocketFunction = Callable[..., Awaitable[None]]


class WebSocketRoute(routing.WebSocketRoute):
    """Sends WebSocket connections for a path to an endpoint.

    Args:
        path: with Starlette's convertors, as in ``/chat/{room}`` or ``/item/{number:int}``.
        endpoint: a `WebSocketEndpoint` class, or a function that takes the `WebSocket` and perhaps dependencies.
        name: for ``url_for``; the endpoint's own by default.

    A function has the same session as a class: its own nursery (``websocket.start_soon``), a second to finish when the
    client leaves, and a `WebSocketDisconnect` that reaches the top is its normal end.
    """

    def __init__(
        self, path: str, endpoint: type[WebSocketEndpoint] | WebSocketFunction, *, name: str | None = None
    ) -> None:
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {'/' + path!r}, not {path!r}")
        super().__init__(path, endpoint, name=name)
        if inspect.isclass(endpoint):
            if not issubclass(endpoint, WebSocketEndpoint):
                raise TypeError(
                    f"{endpoint.__name__} for {path!r} is no WebSocketEndpoint; derive it from wsframework's"
                )
        elif inspect.iscoroutinefunction(endpoint):
            self.app: ASGIApp = FunctionEndpoint(endpoint)
        else:
            if inspect.isfunction(endpoint):
                raise TypeError(
                    f"{endpoint.__name__} for {path!r} must be async: write `async def {endpoint.__name__}`"
                )
            raise TypeError(f"the endpoint for {path!r} is a WebSocketEndpoint or an async function, not {endpoint!r}")


class FunctionEndpoint:
    """An async function as an ASGI application, with a session around it."""

    def __init__(self, function: WebSocketFunction) -> None:
        self._function = function
        self._name = getattr(function, "__name__", repr(function))
        self._given, self._plan = plan_function_endpoint(function, self._name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        session = Session(websocket, self._name)
        main: Callable[..., Awaitable[None]] = partial(self._function, *[websocket][: self._given])
        if self._plan is not None:
            main = partial(self._serve_with_dependencies, session, main, self._plan)
        await session.run(main, _no_farewell)

    async def _serve_with_dependencies(
        self, session: Session, main: Callable[..., Awaitable[None]], plan: Call
    ) -> None:
        resolver = Resolver(session.websocket, self._name)
        async with resolver.running():
            await session.run_within(partial(main, **await resolver.fill(plan)))


async def _no_farewell(close_code: int) -> None:
    """A function has its own ``finally``."""


def is_http_only(route: routing.BaseRoute) -> bool:
    """Say whether a route has nothing for WebSockets, and would fail on one instead of passing it on."""
    if isinstance(route, routing.Mount):
        return isinstance(route.app, StaticFiles)
    return isinstance(route, routing.Route)
