"""Answers the questions of load balancers and orchestrators: does the process live, and does it take clients?"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .access_log import ACCESS_LEVEL

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LIVE = "/healthz"
READY = "/readyz"


class Health:
    """Wraps an ASGI application: ``GET`` and ``HEAD`` of two paths are answered, everything else passes through.

    ``/healthz`` is 200 for as long as the event loop runs. ``/readyz`` is 200 while ``ready()`` is true, and 503 when
    it is not: take this process out of the rotation, and let it finish. The application need not be asked, nor its
    routes and its middleware. Both are logged at DEBUG, since they come every second.

    Args:
        app: the application.
        ready: says whether new clients are welcome.
    """

    def __init__(self, app: Any, ready: Callable[[], bool]) -> None:
        self._app = app
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (LIVE, READY) or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
        else:
            scope[ACCESS_LEVEL] = logging.DEBUG
            fine = scope["path"] == LIVE or self._ready()
            await _answer(send, 200 if fine else 503, b"ok\n" if fine else b"not ready\n", scope["method"] == "HEAD")


async def _answer(send: Send, status: int, body: bytes, head: bool) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),  # the answer of a moment ago is worth nothing
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
