"""Where a request on a kept connection ends: hypercorn gets one at a time, and what comes next is judged before.

A client may send a page's request and then, on the same connection, an upgrade to WebSocket; proxies that keep their
connections do. That upgrade belongs to our own server, with its limits and deadlines, and not to hypercorn's. So a
second copy of hypercorn's parser, h11, reads along: it says where the request ends, hypercorn gets no byte beyond, and
tells when its answer is complete. Only then is the next head read, by the same code as the first head of a connection.
If it is for hypercorn, hypercorn gets it. If it is an upgrade, or cannot be served, the connection goes back to where
it came from, with these bytes.

Both parsers are the same code and see the same bytes, so they cannot differ about where a request ends.
"""

from __future__ import annotations

from collections.abc import Callable

import h11
import trio

from ..errors import RequestError
from ..limits import Limits
from .arrival import HeadReader
from .streams import DeadlineStream


class RequestStream:
    """A stream as hypercorn reads it: one request at a time.

    Args:
        stream: the client.
        data: what was read from it before: a head for hypercorn, and what came behind.
        limits: the bounds of a request head.
        on_return: called when what comes next is not for hypercorn; whoever is reading must then be cancelled.

    Attributes:
        returned: what was read of it by then.
    """

    def __init__(self, stream: DeadlineStream, data: bytes, limits: Limits, on_return: Callable[[], None]) -> None:
        self._stream = stream
        self._limits = limits
        self._on_return = on_return
        self._first = True  # the first head was judged by who gives us the connection
        self._next = data  # what has come of the next request
        self._request: h11.Connection | None = None  # reads along in the request that hypercorn is getting
        self._answered = trio.Event()
        self._closed = False
        self.returned: bytes | None = None

    def answered(self) -> None:
        """Hypercorn has answered the request, and is ready for another."""
        self._answered.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return more of a request; nothing when the client has ended."""
        if self._request is not None:
            return self._pass_on(self._request, await self._stream.receive_some(max_bytes))
        head = await self._receive_head(max_bytes)
        if head:
            self._answered = trio.Event()
            self._request = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.request_head)
            return self._pass_on(self._request, head)
        return b""

    async def _receive_head(self, max_bytes: int | None) -> bytes:
        """Return a whole head that is for hypercorn, and whatever came in one piece with it."""
        head, reader = b"", HeadReader(self._limits)
        if self._first:
            self._first = False
            head, self._next = self._next, head
            return head
        while True:
            # While the answer is on its way, too: a client that leaves is noticed, and only one read is kept.
            data = self._next or await self._stream.receive_some(max_bytes)
            self._next = b""
            if not data:
                return b""
            await self._answered.wait()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
            head += data
            if await self._is_for_hypercorn(reader, data, head):
                return head

    async def _is_for_hypercorn(self, reader: HeadReader, data: bytes, head: bytes) -> bool:
        """Say whether the head is whole now. Does not return when it is for somebody else."""
        try:
            arrival = reader.feed(data)
            if arrival is None or arrival.handshake is None:
                return arrival is not None
        except RequestError:
            pass  # who gets the connection back finds the same, and answers
        self.returned = head
        self._on_return()
        await trio.sleep_forever()

    def _pass_on(self, request: h11.Connection, data: bytes) -> bytes:
        """Return what of this belongs to the request, and keep the rest for later."""
        if not data:
            return data
        request.receive_data(data)
        while True:
            try:
                event = request.next_event()
            except h11.RemoteProtocolError:  # hypercorn's copy finds the same, and answers
                return data
            if event is h11.NEED_DATA:
                return data
            if isinstance(event, h11.EndOfMessage):
                self._request = None
                self._next = bytes(request.trailing_data[0])
                return data[: len(data) - len(self._next)]

    async def send_all(self, data: bytes) -> None:
        """Send a part of an answer."""
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """End our direction, unless the connection has gone back."""
        if self.returned is None:
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection, unless it has gone back."""
        self._closed = True
        self._answered.set()
        if self.returned is None:
            await self._stream.aclose()
