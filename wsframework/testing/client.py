"""The client of a test: an independent WebSocket implementation, a deadline on every wait, and a few faults."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

import attrs
import trio
import trio_websocket

from ..close import CloseCode
from ..encoding import decode_json as decode
from ..encoding import encode_json, expect_bytes, expect_text
from ..errors import WebSocketDisconnect
from ..transport import Message
from .streams import MemoryStream

T = TypeVar("T")


class NothingReceived(AssertionError):  # noqa: N818 - a failed expectation, not an error
    """What a test waited for did not come within the client's deadline."""


@attrs.frozen
class HandshakeRefused(Exception):  # noqa: N818 - says what happened
    """The application answered the handshake with an HTTP response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def __str__(self) -> str:
        return f"the handshake was refused with {self.status}: {self.body.decode(errors='replace').strip()}"


class Client:
    """A WebSocket client in a test. Every wait has a deadline and fails with what was awaited.

    Attributes:
        deadline: seconds of Trio's clock that a receive may take; change it, or enter ``trio.fail_after`` yourself.
    """

    def __init__(
        self, connection: trio_websocket.WebSocketConnection, stream: MemoryStream, path: str, deadline: float
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._path = path
        self._received = 0
        self.deadline = deadline

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the application chose."""
        return self._connection.subprotocol

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields of the answer to the handshake."""
        return list(self._connection.handshake_headers)

    # Out

    async def send(self, message: Message) -> None:
        """Send a message: a string as text, bytes as binary."""
        await self._within(self._connection.send_message(message), "room to send")

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        await self.send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        await self.send(data)

    async def send_json(self, data: Any) -> None:
        """Send a value as JSON text."""
        await self.send(encode_json(data).decode())

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Close the connection and wait for the answer."""
        await self._within(self._connection.aclose(code, reason), "the answer to the close frame")

    # In

    async def receive(self) -> Message:
        """Return the next message: a string for text, bytes for binary.

        Raises:
            NothingReceived: it did not come within the deadline.
            WebSocketDisconnect: the application closed the connection.
        """
        return await self._receive("a message")

    async def receive_text(self) -> str:
        """Return the next message, which must be text. Raises like `receive`."""
        return expect_text(await self._receive("a text message"))

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary. Raises like `receive`."""
        return expect_bytes(await self._receive("a binary message"))

    async def receive_json(self) -> Any:
        """Return the next message, decoded from JSON. Raises like `receive`."""
        return decode(await self._receive("JSON"))

    async def receive_nothing(self, seconds: float = 0.1) -> None:
        """Check that nothing comes for a while; best on a virtual clock."""
        with trio.move_on_after(seconds):
            message = await self._connection.get_message()
            raise AssertionError(f"{self._path}: expected nothing for {seconds:g} s and received {message!r}")

    async def wait_closed(self) -> WebSocketDisconnect:
        """Wait until the application has closed the connection; what it still sends is dropped. Tells how it ended."""
        while True:
            try:
                await self._receive("the end of the connection")
            except WebSocketDisconnect as end:
                return end

    async def _receive(self, awaited: str) -> Message:
        message: Message = await self._within(self._connection.get_message(), awaited)
        self._received += 1
        return message

    async def _within(self, wait: Awaitable[T], awaited: str) -> T:
        try:
            with trio.fail_after(self.deadline):
                return await wait
        except trio.TooSlowError:
            raise NothingReceived(
                f"{self._path}: waited {self.deadline:g} s for {awaited}; {self._received} messages came before"
            ) from None
        except trio_websocket.ConnectionClosed as closed:
            if closed.reason is None:
                raise WebSocketDisconnect(CloseCode.ABNORMAL_CLOSURE) from None
            raise WebSocketDisconnect(closed.reason.code, closed.reason.reason) from None

    # Faults

    def stall(self) -> None:
        """Stop reading, as a frozen browser does. What the application sends fills the window and then waits."""
        self._stream.stall()

    def resume(self) -> None:
        """Read on."""
        self._stream.stall(False)

    def vanish(self) -> None:
        """Be gone without a close frame, as after a reset."""
        self._stream.vanish()
