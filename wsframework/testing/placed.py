"""An application as a test has it: below a path, and visited from an address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..server.lifespan import check_application

Scope = MutableMapping[str, Any]


class Placed:
    """Passes everything on to an application, with a ``root_path`` and a client of the test's choice.

    Raises:
        TypeError: it is no application.
    """

    def __init__(self, app: Any, root_path: str, client: tuple[str, int]) -> None:
        check_application(app)
        self._app = app
        self._place = {"root_path": root_path, "client": client}

    # Not async, and `receive` and `send` untouched: messages go the way that they go without it.
    def __call__(self, scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> Awaitable[Any]:
        if scope["type"] != "lifespan":
            scope.update(self._place)
        result: Awaitable[Any] = self._app(scope, receive, send)
        return result
