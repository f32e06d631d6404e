"""The client of a test: an independent WebSocket implementation, a deadline on every wait, and a few faults."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Never, TypeVar

import attrs
import trio
import trio_websocket

from ..close import CloseCode
from ..encoding import decode_json as decode
from ..encoding import encode_json
from ..errors import InvalidData, WebSocketDisconnect
from ..messages import Message
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
        if not isinstance(message, (str, bytes)):
            raise TypeError(f"send takes a string or bytes, not {type(message).__name__}; there is send_json")
        await self._within(self._connection.send_message(message), "room to send")

    async def send_text(self, data: str) -> None:
        """Send a text message."""
        if not isinstance(data, str):
            raise TypeError(f"send_text takes a string, not {type(data).__name__}; there is send_bytes and send_json")
        await self.send(data)

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        if not isinstance(data, bytes):
            raise TypeError(f"send_bytes takes bytes, not {type(data).__name__}; there is send_text and send_json")
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
        """Return the next message, which must be text. Raises like `receive`, or AssertionError for a binary one."""
        message = await self._receive("a text message")
        if not isinstance(message, str):
            raise AssertionError(f"{self._path}: expected a text message and received {_shorten(message)}")
        return message

    async def receive_bytes(self) -> bytes:
        """Return the next message, which must be binary. Raises like `receive`, or AssertionError for text."""
        message = await self._receive("a binary message")
        if isinstance(message, str):
            raise AssertionError(f"{self._path}: expected a binary message and received {_shorten(message)}")
        return message

    async def receive_json(self) -> Any:
        """Return the next message, decoded from JSON. Raises like `receive`, or AssertionError for what is no JSON."""
        message = await self._receive("JSON")
        try:
            return decode(message)
        except InvalidData as error:
            raise AssertionError(
                f"{self._path}: expected JSON and received {_shorten(message)}: {error.reason}"
            ) from None

    async def receive_nothing(self, seconds: float = 0.1) -> None:
        """Check that nothing comes for a while; best on a virtual clock.

        Raises:
            AssertionError: a message came.
            WebSocketDisconnect: the connection ended.
        """
        try:
            message = await self._within(self._connection.get_message(), "nothing", seconds)
        except NothingReceived:
            return
        raise AssertionError(f"{self._path}: expected nothing for {seconds:g} s and received {_shorten(message)}")

    async def wait_closed(self) -> WebSocketDisconnect:
        """Wait until the application has closed the connection; what it still sends is dropped. Tells how it ended."""
        try:
            await self._within(self._drain(), "the end of the connection")
        except WebSocketDisconnect as end:
            return end

    async def _drain(self) -> Never:
        while True:
            await self._connection.get_message()
            self._received += 1

    async def _receive(self, awaited: str) -> Message:
        message: Message = await self._within(self._connection.get_message(), awaited)
        self._received += 1
        return message

    async def _within(self, wait: Awaitable[T], awaited: str, seconds: float | None = None) -> T:
        seconds = self.deadline if seconds is None else seconds
        try:
            with trio.fail_after(seconds):
                return await wait
        except trio.TooSlowError:
            raise NothingReceived(
                f"{self._path}: waited {seconds:g} s for {awaited}; {self._received} messages came before"
            ) from None
        except trio_websocket.ConnectionClosed as closed:
            end = closed.reason
            code, reason = (CloseCode.ABNORMAL_CLOSURE, "") if end is None else (end.code, end.reason)
            raise WebSocketDisconnect(code, reason) from None

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


def _shorten(message: Message) -> str:
    words = repr(message)
    return words if len(words) <= 200 else f"{words[:200]}… ({len(message)} in all)"
