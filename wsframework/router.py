"""Finds what serves a path: the routes of one app."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.datastructures import URLPath
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Host, Match, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from .hooks import guard
from .origin import OriginPolicy
from .refusal import refuse
from .websocket import Receive, Scope, Send, WebSocket


class AppRouter:
    """The routes of one app, tried in the order in which they were added.

    Attributes:
        http: Starlette's router over all of them.
        websocket: one over those that may have something for WebSockets, with the same answer to unknown paths.
    """

    def __init__(self) -> None:
        self.http: Router = Router(default=_not_found)
        self.websocket: Router = Router(default=_not_found)

    @property
    def routes(self) -> list[BaseRoute]:
        """All routes."""
        return list(self.http.routes)

    def add(self, route: BaseRoute) -> None:
        """Add a route behind those that are there.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(route, BaseRoute):
            raise TypeError(f"a route is a WebSocketRoute, or Starlette's Route or Mount, not {route!r}")
        _answer_unknown_paths(route)
        guard(route)
        self.http.routes.append(route)
        if not _is_http_only(route):
            self.websocket.routes.append(route)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the route with this name. Raises Starlette's ``NoMatchFound``."""
        return self.http.url_path_for(name, **path_params)

    def find_policy(self, scope: Scope) -> OriginPolicy | None:
        """Find the list of origins of the route that will serve this WebSocket, or of an `App` on the way to it."""
        return _find_policy(self.websocket.routes, scope)


def _is_http_only(route: BaseRoute) -> bool:
    """Say whether a route has nothing for WebSockets, and would fail on one instead of passing it on."""
    if isinstance(route, Mount):
        return isinstance(route.app, StaticFiles)
    return isinstance(route, Route)


def _find_policy(routes: Sequence[BaseRoute], scope: Scope) -> OriginPolicy | None:
    """Find the list of origins of the route that will serve this, or of the nearest `App` around it that has one.

    It goes the way that Starlette's routers will go: the first route that matches, and so on below it. It is for the
    connections that the app's own list refuses, so it costs the others nothing.
    """
    for route in routes:
        if _is_http_only(route):
            continue
        match, found = route.matches(scope)
        if match is Match.FULL:
            # An `App` behind a Mount has the same attribute as a route. What middleware hides is not seen, and refused.
            own = getattr(route, "origins", None) or getattr(getattr(route, "app", None), "origins", None)
            below = _find_policy(getattr(route, "routes", None) or (), {**scope, **found})
            policy = below or own
            return policy if isinstance(policy, OriginPolicy) else None
    return None


def _answer_unknown_paths(route: BaseRoute) -> None:
    """Have the routers below a ``Mount`` answer as ours does: Starlette's refuse an unknown WebSocket with 403."""
    router = route.app if isinstance(route, (Mount, Host)) else None
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
