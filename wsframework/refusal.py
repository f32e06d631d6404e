"""Refusing a handshake: with a response where the server can send one, and else by closing before accept."""

from __future__ import annotations

import logging
from contextlib import suppress

from .access_log import ACCESS_REASON
from .errors import WebSocketDisconnect
from .origin import explain
from .websocket import WebSocket

logger: logging.Logger = logging.getLogger("wsframework")

_FORBIDDEN = 403
_DETAIL = "This Origin is not allowed."


async def refuse(websocket: WebSocket, status: int, detail: str) -> None:
    """Answer a handshake with this status and a line of text.

    On a server without ASGI's denial response it is closed, which servers answer with 403. A client that has left is
    no error. If it is cancelled: the server ends what was begun.
    """
    if "websocket.http.response" not in (websocket.scope.get("extensions") or {}):
        await websocket.close()
        return
    body = detail.encode() + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    with suppress(WebSocketDisconnect):
        await websocket.send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await websocket.send({"type": "websocket.http.response.body", "body": body})


async def refuse_origin(websocket: WebSocket) -> None:
    """Refuse a page's origin with 403, and say in one log line which setting would allow it."""
    client = websocket.client
    logger.info(
        "refused a WebSocket at %s for %s with %d: %s",
        ascii(websocket.scope.get("path", "")),
        f"{client.host}:{client.port}" if client is not None else "a client",
        _FORBIDDEN,
        explain(websocket.scope),
    )
    websocket.scope[ACCESS_REASON] = _DETAIL
    # The page's author sees this in the browser's tools, and the reason is in the log of who can change it.
    await refuse(websocket, _FORBIDDEN, _DETAIL)
