"""`WebSocketTestSession`: one WebSocket of a `TestClient`, with the names that Starlette's has."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType
from typing import Any, Literal, Self

from starlette.datastructures import Headers

from ..close import CloseCode
from ..encoding import check_mode
from ..errors import WebSocketDisconnect, WebSocketStateError
from .client import Client, HandshakeRefused
from .held import Held
from .portal import Portal


class WebSocketDenialResponse(WebSocketDisconnect):
    """The application refused the handshake, with this HTTP response.

    Attributes:
        status_code: 403 for a plain refusal.
        headers: the header fields.
        content: the body.
    """

    def __init__(self, status_code: int, headers: Headers, content: bytes) -> None:
        super().__init__(CloseCode.ABNORMAL_CLOSURE, f"the handshake was refused with {status_code}")
        self.status_code = status_code
        self.headers = headers
        self.content = content

    @property
    def text(self) -> str:
        """The body as text."""
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        """The body, decoded from JSON."""
        return json.loads(self.content)


class WebSocketTestSession:
    """A client's WebSocket in blocking code. Every receive fails when nothing comes within the client's deadline.

    Attributes:
        accepted_subprotocol: the one that the application chose, or None.
        extra_headers: the header fields of its answer, as pairs of bytes.
    """

    __test__ = False

    def __init__(self, portal: Portal, open_client: Callable[[AsyncExitStack], Awaitable[Client]]) -> None:
        self._portal = portal
        self._open = open_client
        self._stack = ExitStack()
        self._entered: Client | None = None
        self.accepted_subprotocol: str | None = None
        self.extra_headers: list[tuple[bytes, bytes]] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._portal)
            try:
                client = self._entered = stack.enter_context(Held(self._portal, self._open))
            except HandshakeRefused as refusal:
                headers = Headers(raw=refusal.headers)
                raise WebSocketDenialResponse(refusal.status, headers, refusal.body) from None
            self._stack = stack.pop_all()
        self.accepted_subprotocol = client.subprotocol
        self.extra_headers = client.headers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    @property
    def _client(self) -> Client:
        if self._entered is None:
            raise WebSocketStateError(
                "it connects when it is entered: `with client.websocket_connect(...) as websocket:`"
            )
        return self._entered

    # Out

    def send(self, message: Mapping[str, Any]) -> None:
        """Send an ASGI event, as it comes to the application: ``websocket.receive``, or ``websocket.disconnect``.

        Raises:
            ValueError: it is another one.
        """
        match message:
            case {"type": "websocket.receive", "text": str() as text}:
                self.send_text(text)
            case {"type": "websocket.receive", "bytes": data}:
                self.send_bytes(data)
            case {"type": "websocket.disconnect"}:
                self.close(message.get("code", CloseCode.NORMAL_CLOSURE), message.get("reason"))
            case _:
                raise ValueError(
                    f"a client sends websocket.receive, with text or bytes, or websocket.disconnect, not {message!r}; "
                    "there is send_text, send_bytes, send_json and close, too"
                )

    def send_text(self, data: str) -> None:
        """Send a text message."""
        self._portal.call(self._client.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._portal.call(self._client.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send a value as JSON, in a text or a binary message."""
        check_mode(mode)
        if mode == "text":
            self._portal.call(self._client.send_json, data)
        else:
            self.send_bytes(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())

    def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str | None = None) -> None:
        """Close the connection, and wait for the answer."""
        self._portal.call(self._client.close, code, reason or "")

    # In

    def receive(self) -> dict[str, Any]:
        """Return the next ASGI event, as the application sends it: ``websocket.send``, or ``websocket.close``.

        The other ways to receive return the message itself, and raise `WebSocketDisconnect` for a close.

        Raises:
            NothingReceived: it did not come within the deadline.
        """
        try:
            message = self._portal.call(self._client.receive)
        except WebSocketDisconnect as end:
            return {"type": "websocket.close", "code": end.code, "reason": end.reason}
        return {"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}

    def receive_text(self) -> str:
        """Return the next message, which must be text.

        Raises:
            NothingReceived: it did not come within the deadline.
            WebSocketDisconnect: the application closed the connection.
        """
        return self._portal.call(self._client.receive_text)

    def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary."""
        return self._portal.call(self._client.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the next message, decoded from JSON. It must be a text message, or a binary one."""
        check_mode(mode)
        return json.loads(self.receive_text() if mode == "text" else self.receive_bytes())
