"""`WebSocket`: what an endpoint holds. Starlette's names and calls, on any ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import partial
from typing import Any, Generic, Literal, Protocol, TypeVar

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocketState
from trio.lowlevel import checkpoint

from .asgi import ASGITransport
from .close import CloseCode, describe
from .compression import COMPRESSION
from .elsewhere import OF_WEBSOCKETS, CalledOtherwise
from .encoding import check_mode, decode_json, encode_json, expect_bytes, expect_text, explain_wrong_type
from .errors import ClientGone, WebSocketDisconnect, WebSocketStateError
from .transport import Transport

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Mode = Literal["text", "binary"]
T = TypeVar("T")


class Starter(Protocol):
    """The part of a session that a WebSocket knows: where its children start."""

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None: ...


class WebSocket(HTTPConnection[Any], CalledOtherwise, elsewhere=OF_WEBSOCKETS):
    """One WebSocket connection, and the request that opened it.

    It is a mapping over the ASGI scope and has Starlette's ``url``, ``headers``, ``query_params``, ``path_params``,
    ``cookies``, ``client``, ``state`` and ``app``.

    Args:
        scope: an ASGI scope of type ``websocket``.
        receive: ASGI's receive.
        send: ASGI's send.

    When ``receive`` and ``send`` are those of our own server, untouched by middleware, messages take the direct way to
    the connection: the same semantics without a dict per message.

    When the client has left: what it had sent is still received, in order; then every receive raises
    `WebSocketDisconnect`, and every send does.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise TypeError(f"a WebSocket needs a scope of type 'websocket', this one is {scope['type']!r}")
        super().__init__(scope)
        self.transport: Transport = _find_transport(scope, receive, send)
        self.starter: Starter | None = None
        self.on_accept: Callable[[], Awaitable[None]] | None = None  # awaited when the handshake has been accepted
        self.accepted_before: bool = False  # by a hook before the endpoint, whose own accept is still to come
        self._disconnect_told = False

    # The handshake

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Accept the connection.

        Args:
            subprotocol: one of those that the client offered, in ``websocket["subprotocols"]``.
            headers: more header fields for the answer, as pairs of bytes.

        Raises:
            ValueError: the subprotocol was not offered, or a header must not be sent.
            WebSocketDisconnect: the client has left already.
            WebSocketStateError: it was accepted before. If a hook before the endpoint has done so, then the endpoint's
                first call is none too many, as long as it asks for nothing that the hook has not answered.
        """
        if self.accepted_before and self.passes_over(subprotocol, headers):
            await checkpoint()
            return
        await self.transport.accept(subprotocol, headers or (), self.scope.get(COMPRESSION))
        if self.on_accept is not None:
            await self.on_accept()

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection; before ``accept``, refuse it with HTTP 403.

        Returns without waiting for the client's answer; the server gives it `Limits.close_timeout` for that. What
        was sent before leaves before. Does nothing when the connection has ended.

        Raises:
            ValueError: the code must not be sent, or the reason has more than 123 bytes.
        """
        await self.transport.close(code, reason or "")

    def passes_over(self, subprotocol: str | None, headers: Iterable[tuple[bytes, bytes]] | None) -> bool:
        """Say whether an ``accept`` is not sent, because a hook before the endpoint has accepted."""
        if not self.accepted_before:
            return False
        if headers or subprotocol not in (None, self.subprotocol):
            raise WebSocketStateError(
                "a hook before the endpoint has accepted this connection, so its answer cannot have this subprotocol "
                "or these headers any more: give them to the hook's accept, or let the hook return without accepting"
            )
        self.accepted_before = False
        return True

    async def send_denial_response(self, response: Response) -> None:
        """Refuse the handshake with an HTTP response: any of Starlette's, also one that streams.

        Returns when the response was sent; its background task has then run.

        Raises:
            WebSocketStateError: the connection was accepted or refused before, or the server cannot answer a handshake
                with a response. There is ``close()`` then, which servers answer with 403.
            WebSocketDisconnect: the client has left.

        If it is cancelled: the client gets what was sent of the response by then, and no more.
        """
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            raise WebSocketStateError(
                "this server cannot refuse a handshake with a response of one's own (it does not have the ASGI "
                "extension websocket.http.response): call `await websocket.close()`, which is answered with 403"
            )
        if not callable(response):
            kind = type(response).__name__
            raise TypeError(f"the response is one of Starlette's, such as PlainTextResponse('no', 401), not {kind}")
        await response(self.scope, self.receive, self.send)

    # Messages in

    async def receive_text(self) -> str:
        """Receive a text message.

        Raises:
            WebSocketDisconnect: the client has left, and everything that it sent before was received.
            InvalidData: the message is binary (1003). It is used up; catch this to go on. Where nobody does, the
                connection is closed with that code, which is no server error.

        If it is cancelled: no message is lost.
        """
        message = await self.transport.receive()
        return message if isinstance(message, str) else expect_text(message)

    async def receive_bytes(self) -> bytes:
        """Receive a binary message. Raises and is cancelled like `receive_text`."""
        message = await self.transport.receive()
        return message if isinstance(message, bytes) else expect_bytes(message)

    async def receive_json(self, mode: Mode = "text") -> Any:
        """Receive JSON as plain values: a text message, or a binary one with ``mode="binary"``.

        Raises and is cancelled like `receive_text`; what is no JSON is `InvalidData` with 1007.
        """
        check_mode(mode)
        return decode_json(await (self.receive_text() if mode == "text" else self.receive_bytes()))

    def iter_text(self) -> Messages[str]:
        """Iterate over text messages until the client leaves: ``async for text in websocket.iter_text()``."""
        return Messages(self.receive_text)

    def iter_bytes(self) -> Messages[bytes]:
        """Iterate over binary messages until the client leaves."""
        return Messages(self.receive_bytes)

    def iter_json(self, mode: Mode = "text") -> Messages[Any]:
        """Iterate over JSON messages until the client leaves."""
        check_mode(mode)
        return Messages(partial(self.receive_json, mode))

    def __aiter__(self) -> Messages[str | bytes]:
        """Iterate over messages until the client leaves: a string for text, bytes for binary."""
        return Messages(self.transport.receive)

    async def receive(self) -> MutableMapping[str, Any]:
        """Receive the next raw ASGI event: a connect, a message, or a disconnect.

        Raises:
            WebSocketDisconnect: a disconnect was received before.
        """
        if self._disconnect_told:
            await checkpoint()
            raise self.transport.disconnect()
        event: MutableMapping[str, Any] = await self.transport.asgi_receive()
        if event["type"] == "websocket.connect" and self.transport.accepted:
            event = await self.transport.asgi_receive()  # `accept` has answered that one
        self._disconnect_told = event["type"] == "websocket.disconnect"
        return event

    # Messages out

    async def send_text(self, data: str) -> None:
        """Send a text message. Waits while the client is behind; nobody else waits for it.

        Raises:
            WebSocketDisconnect: the connection has ended.

        If it is cancelled: the message either has not begun or arrives whole.
        """
        if not isinstance(data, str):
            told = f"send_text takes a string, not {type(data).__name__}; there is send_bytes and send_json"
            raise explain_wrong_type(told, data)
        await self.transport.send(data)

    async def send_bytes(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message. Waits, raises and is cancelled like `send_text`."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            told = f"send_bytes takes bytes, not {type(data).__name__}; there is send_text and send_json"
            raise explain_wrong_type(told, data)
        await self.transport.send(bytes(data))

    async def send_json(self, data: Any, mode: Mode = "text") -> None:
        """Send a value as JSON: plain values, attrs classes, dataclasses, Structs.

        Waits, raises and is cancelled like `send_text`. A value that JSON cannot hold is a ``TypeError``.
        """
        check_mode(mode)
        payload = encode_json(data)
        await self.transport.send(payload.decode() if mode == "text" else payload)

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Send a raw ASGI event. For messages there is `send_text` and its relatives.

        Raises:
            TypeError: it is no event.
            WebSocketDisconnect: the connection has ended.
        """
        try:
            kind = message["type"]
        except (TypeError, KeyError):
            told = (
                "send takes an ASGI event, a dict with a type; for messages there is send_text, send_bytes, send_json"
            )
            raise explain_wrong_type(told, message) from None
        if kind == "websocket.accept":
            if self.passes_over(message.get("subprotocol"), message.get("headers")):
                await checkpoint()
                return
            message = {COMPRESSION: self.scope.get(COMPRESSION), **message}
        try:
            await self.transport.asgi_send(message)
        except ClientGone as end:
            raise WebSocketDisconnect(end.code, end.reason) from end
        if kind == "websocket.accept" and self.on_accept is not None:
            await self.on_accept()

    async def ping(self) -> float:
        """Send a ping, wait for the client's pong, and return the seconds between them.

        Bound it: ``with trio.fail_after(10): await websocket.ping()``. While so many messages wait for the endpoint
        that the server reads no more, a pong behind them is not seen either.

        Raises:
            WebSocketDisconnect: the connection has ended, or does before the pong comes.
            WebSocketStateError: before ``accept``; on other servers, and behind middleware that wraps ``receive`` or
                ``send``, because ASGI has no pings.

        If it is cancelled: the ping has been sent, and its pong means nothing any more.
        """
        return await self.transport.ping()

    # Children

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task in the connection's own nursery: it is cancelled as soon as the connection ends.

        If it raises: the connection is closed with 1011. A `WebSocketDisconnect` is its normal end.

        Raises:
            WebSocketStateError: the WebSocket was made by hand, without a route or an endpoint to run it.
        """
        if self.starter is None:
            raise WebSocketStateError("start_soon needs a nursery: use a WebSocketRoute, @app.websocket or an endpoint")
        self.starter.start_soon(function, *args)

    # What became of it

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed on."""
        return self.transport.subprotocol

    @property
    def extensions(self) -> str:
        """The extensions that were agreed on, as in browsers: ``permessage-deflate; ...``, or nothing.

        Empty behind middleware that wraps ``send``, and on other servers, which do not tell.
        """
        return self.transport.extensions

    @property
    def close_code(self) -> int | None:
        """None while the connection is there; then the client's close code, or ours, or 1006 when it just broke."""
        return self.transport.close_code

    @property
    def close_reason(self) -> str:
        """The reason beside the close code, often empty."""
        return self.transport.close_reason

    @property
    def latency(self) -> float | None:
        """Seconds between the last ping and its pong, whether `ping` sent it or the server's keep-alive.

        None while there was no pong. Always None on other servers, and behind middleware that wraps ``receive`` or
        ``send``. The server pings clients that have been silent for `Limits.ping_interval`.
        """
        return self.transport.latency

    @property
    def client_state(self) -> WebSocketState:
        """Starlette's word for where the client is: connecting, connected or disconnected."""
        if self.transport.close_code is not None:
            return WebSocketState.DISCONNECTED
        return WebSocketState.CONNECTED if self.transport.accepted else WebSocketState.CONNECTING

    @property
    def application_state(self) -> WebSocketState:
        """Starlette's word for where our side is; the same as ``client_state``, since an end is an end for both."""
        return self.client_state

    def __repr__(self) -> str:
        end = self.transport.close_code
        state = describe(end, self.close_reason) if end is not None else self.client_state.name.lower()
        return f"<WebSocket {self.scope.get('path', '')} {state}>"


class Messages(Generic[T]):
    """The messages of one client, one by one, until it leaves."""

    def __init__(self, receive: Callable[[], Awaitable[T]]) -> None:
        self._receive = receive

    def __aiter__(self) -> Messages[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._receive()
        except WebSocketDisconnect:
            raise StopAsyncIteration from None


def _find_transport(scope: Scope, receive: Receive, send: Send) -> Transport:
    owner = getattr(receive, "__self__", None)
    if getattr(send, "__self__", None) is owner and isinstance(owner, Transport):
        return owner
    return ASGITransport(receive, send, scope)
