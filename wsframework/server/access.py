"""Where the server fills in its access log: at the end of a WebSocket, of a refusal, and of an HTTP request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import attrs
import trio
from starlette.requests import ClientDisconnect

from ..access_log import ACCESS_REASON, AccessRecord, log_access, logger
from ..close import REFUSED
from ..errors import RequestError
from .connection import Connection
from .head.handshake import Handshake
from .head.request import Headers
from .scope import Address

ASGIEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIEvent]]
Send = Callable[[ASGIEvent], Awaitable[None]]


def log_websocket(scope: Mapping[str, Any], connection: Connection, began: float) -> None:
    """Log a connection that has ended. ``began`` is the `trio.current_time` of its whole request head.

    The scope is read now, not before, so that an application may have corrected the client's address in it.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    over_http2 = scope["http_version"] == "2"
    status = 200 if over_http2 and connection.status == 101 else connection.status or None
    record = AccessRecord(
        type="websocket",
        client=_name(scope["client"]),
        method="CONNECT" if over_http2 else "GET",
        path=_path(scope),
        http_version=scope["http_version"],
        status=status,
        subprotocol=connection.subprotocol,
        close_code=connection.close_code if connection.accepted else None,
        close_reason=_why(scope, connection),
        duration=trio.current_time() - began,
        messages_in=connection.messages_in if connection.accepted else None,
        bytes_in=connection.bytes_in if connection.accepted else None,
        messages_out=connection.messages_out if connection.accepted else None,
        bytes_out=connection.bytes_out if connection.accepted else None,
    )
    log_access(record, scope)


def _why(scope: Mapping[str, Any], connection: Connection) -> str:
    """Return the reason of the close frame; of a refusal the one that was left in the scope, or given to ``close``."""
    reason = scope.get(ACCESS_REASON)
    if connection.status > 101 and isinstance(reason, str):
        return reason
    if connection.status > 101 and connection.close_reason == REFUSED:
        return ""  # the status says it
    return connection.close_reason


def log_refusal(client: Address | None, error: RequestError, handshake: Handshake | None = None) -> None:
    """Log a request that the server refused by itself, before any application saw it; what it was, if that is known."""
    if not logger.isEnabledFor(logging.INFO):
        return
    record = AccessRecord(type="http", client=_name(client), status=error.status, close_reason=error.detail)
    if handshake is not None:
        path = handshake.raw_path.decode("latin-1")
        record = attrs.evolve(record, type="websocket", method="GET", path=path, http_version="1.1")
    log_access(record)


def log_refused_stream(client: Address | None, error: RequestError, fields: Headers) -> None:
    """Log a request of HTTP/2 that the server refused by itself. Unlike one of HTTP/1.1 its head was always read."""
    if not logger.isEnabledFor(logging.INFO):
        return
    known = {name: value.decode("latin-1") for name, value in fields if name.startswith(b":")}
    path = known.get(b":path")  # a proxy is asked for a host, and for no path
    record = AccessRecord(
        type="websocket" if known.get(b":protocol") == "websocket" else "http",
        client=_name(client),
        method=known.get(b":method"),
        path=None if path is None else path.partition("?")[0],
        http_version="2",
        status=error.status,
        close_reason=error.detail,
    )
    log_access(record)


# The key in the scope under which the HTTP side leaves a `ServerAnswer`. No application sees it.
SERVER_ANSWER = "wsframework.server_answer"


@attrs.define
class ServerAnswer:
    """What the server itself has answered to a request that an application has got already; None while it has not.

    From then on nothing of what the application sends reaches the client.
    """

    error: RequestError | None = None


class HTTPAccess:
    """Wraps an application to log its HTTP requests. WebSockets and the lifespan pass through.

    A client that leaves in the middle of its request is no error of the application, which is what the server below
    would make of Starlette's exception for it: so that ends here.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = scope.pop(SERVER_ANSWER, None) or ServerAnswer()
        if logger.isEnabledFor(logging.INFO):
            await _Exchange(scope, receive, send, answer).run(self._app)
        else:
            await _run(self._app, scope, receive, send)


class _Exchange:
    """A request and its answer, which are measured as they pass."""

    def __init__(
        self, scope: MutableMapping[str, Any], receive: Receive, send: Send, servers_answer: ServerAnswer
    ) -> None:
        self._scope = scope
        self._asgi_receive = receive
        self._asgi_send = send
        self._servers_answer = servers_answer
        self._status: int | None = None
        self._left = False
        self._bytes_in = self._bytes_out = 0

    async def run(self, app: Any) -> None:
        began = trio.current_time()
        try:
            await _run(app, self._scope, self._receive, self._send)
        except Exception:
            if not self._left:
                self._status = self._status or 500  # what the server below answers
            raise
        finally:
            self._log(trio.current_time() - began)

    async def _receive(self) -> ASGIEvent:
        event = await self._asgi_receive()
        self._left = self._left or event["type"] == "http.disconnect"
        self._bytes_in += len(event.get("body") or b"")
        return event

    async def _send(self, event: ASGIEvent) -> None:
        # What is answered to a client that has left, such as Starlette's 500 for that, is no answer.
        if not self._left and self._servers_answer.error is None:
            if event["type"] == "http.response.start":
                self._status = event["status"]
            self._bytes_out += len(event.get("body") or b"")
        await self._asgi_send(event)

    def _log(self, duration: float) -> None:
        scope = self._scope
        error = self._servers_answer.error
        record = AccessRecord(
            type="http",
            client=_name(scope.get("client")),
            method=scope["method"],
            path=_path(scope),
            http_version=scope["http_version"],
            status=self._status if error is None else error.status,
            close_reason="" if error is None else error.detail,
            duration=duration,
            bytes_in=self._bytes_in,
            bytes_out=0 if scope["method"] == "HEAD" else self._bytes_out,
        )
        log_access(record, scope)


async def _run(app: Any, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except ClientDisconnect:
        return


def _name(client: Address | None) -> str | None:
    """Write an address as it stands in a URL; it may come from a header, so it may be anything."""
    if client is None:
        return None
    host, port = client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _path(scope: Mapping[str, Any]) -> str:
    raw: bytes | None = scope.get("raw_path")
    return str(scope["path"]) if raw is None else raw.decode("latin-1")
