"""Hooks before the endpoint of a WebSocket: what ``@app.before_request(websocket=True)`` adds.

They run inside the endpoint's session and share its WebSocket and its dependencies, so what holds for an endpoint holds
for them: what they raise refuses or closes this connection, and they end when the client leaves. They run when a route
has been found, so they know its ``path_params``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
from starlette.routing import BaseRoute, Host, Mount, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect as StarletteDisconnect

from .dependencies import Application, Call, Resolver, Scope, plan_hook
from .errors import ClientGone
from .session import Session
from .websocket import Receive, Send, WebSocket

HOOKS = "wsframework.before_request"  # where an App leaves its hooks in the scope, behind those of the Apps around it

ASGIScope = MutableMapping[str, Any]


@attrs.frozen(eq=False)
class Hook:
    """An async function that takes the WebSocket, and perhaps dependencies."""

    function: Callable[..., Awaitable[Any]]
    plan: Call | None

    @classmethod
    def of(cls, function: Callable[..., Awaitable[Any]]) -> Hook:
        """Plan a hook.

        Raises:
            TypeError: it is not async, or has a parameter that cannot be filled.
        """
        name = getattr(function, "__name__", repr(function))
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{name} must be async to run before WebSockets: write `async def {name}(websocket)`")
        try:
            inspect.signature(function).bind_partial(None)
        except TypeError:
            raise TypeError(f"{name} is called with the WebSocket: write `async def {name}(websocket)`") from None
        return cls(function, plan_hook(function, name, 1, Scope.HANDSHAKE))


def take_hooks(scope: ASGIScope) -> Sequence[Hook]:
    """Take the hooks that have to run before this endpoint. Who takes them runs them."""
    hooks: Sequence[Hook] = scope.pop(HOOKS, ())
    return hooks


async def run_hooks(hooks: Sequence[Hook], websocket: WebSocket, resolver: Resolver) -> bool:
    """Run them in order, and say whether the endpoint comes next: not if one of them has closed or refused.

    Raises:
        Exception: whatever a hook raises.
    """
    for hook in hooks:
        if hook.plan is None:
            await hook.function(websocket)
        else:
            await resolver.call(hook.plan, websocket)
        if websocket.transport.over:
            return False
        websocket.accepted_before = websocket.transport.accepted
    return True


class Guarded:
    """Another ASGI application behind the hooks of the App that it is mounted in."""

    def __init__(self, app: Any, name: str) -> None:
        self.app = app
        self._name = name

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        hooks = take_hooks(scope) if scope["type"] == "websocket" else ()
        if not hooks:
            await self.app(scope, receive, send)
            return
        websocket = WebSocket(scope, receive, send)
        # The application knows nothing of sessions: it takes the time it needs when its client has left.
        session = Session(websocket, self._name, grace=math.inf)
        await session.run(partial(self._serve, scope, websocket, hooks))

    async def _serve(self, scope: ASGIScope, websocket: WebSocket, hooks: Sequence[Hook]) -> None:
        resolver = Resolver(websocket, self._name)
        async with resolver.running():
            if await run_hooks(hooks, websocket, resolver):
                await self._pass_on(scope, websocket)

    async def _pass_on(self, scope: ASGIScope, websocket: WebSocket) -> None:
        transport = websocket.transport

        async def receive() -> MutableMapping[str, Any]:
            return await transport.asgi_receive()

        async def send(event: MutableMapping[str, Any]) -> None:
            if event["type"] != "websocket.accept" or not websocket.passes_over(
                event.get("subprotocol"), event.get("headers")
            ):
                await transport.asgi_send(event)

        # Functions, and not the transport's own methods: with those a second session would take over the transport.
        with suppress(StarletteDisconnect, ClientGone):
            await self.app(scope, receive, send)


def guard(route: BaseRoute) -> None:
    """Have the hooks run before whatever a route leads to. Our own endpoints take them by themselves."""
    app = getattr(route, "app", None)
    if isinstance(route, (Mount, Host)) and type(app) is Router:
        for below in app.routes:
            guard(below)
    elif isinstance(route, (Mount, Host, WebSocketRoute)):
        takes_them = isinstance(app, (Application, Guarded)) or _takes_hooks(route) or _takes_hooks(app)
        if not takes_them and not isinstance(app, StaticFiles):
            route.app = Guarded(app, route.name or type(app).__name__)


def _takes_hooks(whose: object) -> bool:
    return getattr(whose, "_takes_hooks", False)
