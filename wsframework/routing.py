"""Routes to WebSocket endpoints, beside Starlette's ``Route`` and ``Mount``."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from starlette import routing
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from .compression import COMPRESSION, Compression, check_compression
from .dependencies import Resolver, plan_function_endpoint
from .endpoint import WebSocketEndpoint
from .hooks import Hook, run_hooks, take_hooks
from .origin import CHECKED, OriginPolicy
from .refusal import refuse_origin
from .session import Session
from .websocket import Receive, Scope, Send, WebSocket

WebSocketFunction = Callable[..., Awaitable[None]]


class WebSocketRoute(routing.WebSocketRoute):
    """Sends WebSocket connections for a path to an endpoint.

    Args:
        path: with Starlette's convertors, as in ``/chat/{room}`` or ``/item/{number:int}``.
        endpoint: a `WebSocketEndpoint` class, or a function that takes the `WebSocket` and perhaps dependencies.
        name: for ``url_for``; the endpoint's own by default.
        allowed_origins: as for an `App`, and instead of the app's. ``[]`` allows pages of the same origin only.
        compression: as for an `App`, and instead of the app's.
        middleware: Starlette's ``Middleware``, around this endpoint; the first one is outermost. It runs before the
            app's hooks, as the app's own middleware does.

    A function has the same session as a class: its own nursery (``websocket.start_soon``), a second to finish when the
    client leaves, and a `WebSocketDisconnect` that reaches the top is its normal end.
    """

    _takes_hooks = True  # its endpoint does, behind whatever middleware

    def __init__(
        self,
        path: str,
        endpoint: type[WebSocketEndpoint] | WebSocketFunction,
        *,
        name: str | None = None,
        allowed_origins: Iterable[str] | None = None,
        compression: Compression = None,
        middleware: Sequence[Middleware] | None = None,
    ) -> None:
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {'/' + path!r}, not {path!r}")
        super().__init__(path, endpoint, name=name)
        self._compression = check_compression(compression)
        self.origins: OriginPolicy | None = None if allowed_origins is None else OriginPolicy(allowed_origins)
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

        for entry in reversed(middleware or ()):
            wrap, args, kwargs = check_middleware(entry)
            self.app = wrap(self.app, *args, **kwargs)

    # Not async: a coroutine of its own would be one more that is passed each time the endpoint's task goes on.
    def handle(  # type: ignore[override]  # Starlette awaits it, and any awaitable will do
        self, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        """Serve a connection, if the route's own list of origins lets it in."""
        if self.origins is not None:
            if not self.origins.allows(scope):
                return refuse_origin(WebSocket(scope, receive, send))
            scope[CHECKED] = True
        if self._compression is not None:
            scope[COMPRESSION] = self._compression
        serving = self.app(scope, receive, send)
        # What `await` makes of an endpoint costs more to pass than a coroutine.
        return serving.dispatch() if isinstance(serving, WebSocketEndpoint) else serving


def check_middleware(entry: Middleware) -> Middleware:
    """Return it, if it is an entry of a list of middleware. Raises ``TypeError`` for a class by itself."""
    if inspect.isclass(entry):
        raise TypeError(
            f"write Middleware({entry.__name__}, ...) in the list, with Middleware from starlette.middleware"
        )
    return entry


class FunctionEndpoint:
    """An async function as an ASGI application, with a session around it."""

    _takes_hooks = True

    def __init__(self, function: WebSocketFunction) -> None:
        self._function = function
        self._name = getattr(function, "__name__", repr(function))
        self._given, self._plan = plan_function_endpoint(function, self._name)

    # Not async, like `WebSocketRoute.handle`.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        websocket = WebSocket(scope, receive, send)
        session = Session(websocket, self._name)
        hooks = take_hooks(scope)
        main: Callable[..., Awaitable[None]] = partial(self._function, *[websocket][: self._given])
        if self._plan is not None or hooks:
            main = partial(self._serve_with_dependencies, session, main, hooks)
        return session.run(main)

    async def _serve_with_dependencies(
        self, session: Session, main: Callable[..., Awaitable[None]], hooks: Sequence[Hook]
    ) -> None:
        resolver = Resolver(session.websocket, self._name)
        async with resolver.running():
            if await run_hooks(hooks, session.websocket, resolver):
                arguments = {} if self._plan is None else await resolver.fill(self._plan)
                await session.run_within(partial(main, **arguments))
