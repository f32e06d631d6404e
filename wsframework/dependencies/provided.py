"""What a parameter gets by its type alone: the connection, the hub, the application."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_origin

from starlette import websockets
from starlette.applications import Starlette
from starlette.requests import HTTPConnection

from ..errors import WebSocketStateError
from ..hub import Hub

HUB = "wsframework.hub"  # where an App leaves its hub in the scope

Overrides = dict[Callable[..., Any], Callable[..., Any]]


class Application:
    """What an `App` is to those below it.

    Attributes:
        dependency_overrides: for tests: what is called instead of a dependency, as in
            ``app.dependency_overrides[get_user] = get_test_user``. Looked at when a connection comes.
    """

    dependency_overrides: Overrides

    def __init__(self) -> None:
        self.dependency_overrides = {}


def provider(annotation: Any) -> Callable[[HTTPConnection[Any]], Any] | None:
    """Return the function that gets a thing of this type from the connection, or None if the type is no such thing."""
    kind = get_origin(annotation) or annotation
    if not inspect.isclass(kind):
        return None
    # A dependency that was written for Starlette or FastAPI names its WebSocket, and gets ours: it has the same calls.
    if issubclass(kind, (HTTPConnection, websockets.WebSocket)):
        return _itself
    if issubclass(kind, Hub):
        return _find_hub
    if issubclass(kind, (Application, Starlette)):
        return _AppOf(kind)
    return None


def overrides(connection: HTTPConnection[Any]) -> Mapping[Any, Callable[..., Any]]:
    """The overrides of the application that the connection came through; FastAPI has the same dict."""
    return getattr(connection.scope.get("app"), "dependency_overrides", None) or {}


def _itself(connection: HTTPConnection[Any]) -> HTTPConnection[Any]:
    return connection


def _find_hub(connection: HTTPConnection[Any]) -> Hub:
    hub = connection.scope.get(HUB)
    if not isinstance(hub, Hub):
        raise WebSocketStateError("there is no hub: serve the endpoint through an App, which has one")
    return hub


class _AppOf:
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def __call__(self, connection: HTTPConnection[Any]) -> Any:
        app = connection.scope.get("app")
        if not isinstance(app, self._kind):
            raise WebSocketStateError(
                f"a parameter asks for the application as {self._kind.__name__}, and it is {type(app).__name__}"
            )
        return app
