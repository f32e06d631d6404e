"""Where a request on a kept connection ends: hypercorn gets one at a time, and what comes next is judged before.

A client may send a page's request and then, on the same connection, an upgrade to WebSocket; proxies that keep their
connections do. That upgrade belongs to our own server, with its limits and deadlines, and not to hypercorn's. So a
second copy of hypercorn's parser, h11, reads along: it says where the request ends, hypercorn gets no byte beyond, and
tells when its answer is complete. Only then is the next head read, by the same code as the first head of a connection.
If it is for hypercorn, hypercorn gets it. If it is an upgrade, or cannot be served, the connection goes back to where
it came from, with these bytes.

Both parsers are the same code and see the same bytes, so they cannot differ about where a request ends.

A body in a flood of tiny chunks is refused here, with 400, since each chunk costs as much as a large one until the
application has it, and one that stops coming with 408.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import h11
import trio

from ...errors import RequestError
from ...limits import Limits
from ..access import ServerAnswer
from ..head.reader import HeadReader
from ..head.response import encode_refusal
from ..streams import DeadlineStream
from .floods import BodyGauge

# A read of 64 KiB can be 10,900 chunks, which take time to read along. After so many others have their turn.
_TURN = 256

# An interim response, behind which the answer proper can still be any.
_CONTINUE = b"HTTP/1.1 100 "


class RequestStream:
    """A stream as hypercorn reads it: one request at a time.

    Args:
        stream: the client.
        data: what was read from it before: a head for hypercorn, and what came behind.
        limits: the bounds of a request head.
        on_return: called once, with what was read, when what comes next is not for hypercorn. From then on the
            connection is the callee's; hypercorn is told that the client has ended. It is not cancelled, since the
            application may still be busy with what it does behind its answer.

    Attributes:
        returned: the connection has gone back.
        own_answer: to the request that hypercorn has got last, if it is answered here.
    """

    def __init__(self, stream: DeadlineStream, data: bytes, limits: Limits, on_return: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._limits = limits
        self._on_return = on_return
        self._first = True  # the first head was judged by who gives us the connection
        self._next = data  # what has come of the next request
        self._request: h11.Connection | None = None  # reads along in the request that hypercorn is getting
        self._answered = trio.Event()
        self._answering = False
        self._refused = False
        self._body = BodyGauge()
        self._closed = False
        self._stopping = False
        self._idle = trio.CancelScope()  # around the wait for another request
        self.returned: bool = False
        self.own_answer: ServerAnswer = ServerAnswer()

    def answered(self) -> None:
        """Hypercorn has answered the request, and is ready for another."""
        self._answered.set()
        if self._stopping:
            self._idle.cancel()

    def stop(self) -> None:
        """End when what has been asked is answered: there will be no further request."""
        self._stopping = True
        if self._answered.is_set():
            self._idle.cancel()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return more of a request; nothing when the client has ended, or the connection has gone back.

        Raises:
            trio.BrokenResourceError: the body comes in too many pieces, or too late; the client was told, if it could
                be.
        """
        if self._request is not None:
            return await self._pass_on(self._request, await self._receive_body(max_bytes))
        head = await self._receive_head(max_bytes)
        if head:
            self._answered = trio.Event()
            self._answering = False
            self.own_answer = ServerAnswer()
            self._request = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.request_head)
            return await self._pass_on(self._request, head)
        return b""

    async def _receive_body(self, max_bytes: int | None) -> bytes:
        with trio.move_on_after(self._limits.body_timeout):
            return await self._stream.receive_some(max_bytes)
        await self._refuse(RequestError(408, "The body of the request did not arrive in time."))

    async def _receive_head(self, max_bytes: int | None) -> bytes:
        """Return a whole head that is for hypercorn, and whatever came in one piece with it."""
        if self.returned:
            return b""
        head, reader = b"", HeadReader(self._limits, first=False)
        if self._first:
            self._first = False
            head, self._next = self._next, head
            return head
        while True:
            # While the answer is on its way, too: a client that leaves is noticed, and only one read is kept.
            data = self._next
            if not data:
                with self._idle:
                    data = await self._stream.receive_some(max_bytes)
                if self._idle.cancelled_caught:
                    return b""
                self._idle = trio.CancelScope()
                if self._stopping and self._answered.is_set():
                    self._idle.cancel()
            self._next = b""
            if not data:
                return b""
            await self._answered.wait()
            if self._closed:
                raise trio.ClosedResourceError("this stream was closed")
            head += data
            if not reader.begun:
                # Some clients send a line break behind a body, which is no request (RFC 9112 section 2.2). Like nginx,
                # this takes as many as come.
                data = head = head.lstrip(b"\r\n")
                if not head:
                    continue
            try:
                arrival = reader.feed(data)
            except RequestError:  # who gets the connection back finds the same, and answers
                return self._give_back(head)
            if arrival is not None:
                return arrival.data if arrival.handshake is None else self._give_back(head)

    def _give_back(self, head: bytes) -> bytes:
        self.returned = True
        self._on_return(head)
        return b""

    async def _pass_on(self, request: h11.Connection, data: bytes) -> bytes:
        """Return what of this belongs to the request, and keep the rest for later."""
        if not data:
            return data
        request.receive_data(data)
        events = 0
        while True:
            events += 1
            if not events % _TURN:
                await trio.lowlevel.checkpoint()
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
            if isinstance(event, h11.Data) and event.chunk_start and self._body.overflows(len(event.data)):
                await self._refuse(RequestError(400, "The body comes in too many chunks that are too small."))

    async def _refuse(self, error: RequestError) -> NoReturn:
        """Say why no more of this body is read, unless an answer is on its way already."""
        self._refused = True
        if not self._answering:
            self.own_answer.error = error
            await self._stream.send_all(encode_refusal(error))
        raise trio.BrokenResourceError(error.detail)

    async def send_all(self, data: bytes) -> None:
        """Send a part of an answer.

        Raises:
            trio.BrokenResourceError: the client is gone, or was refused.
            trio.ClosedResourceError: the connection has gone back.
        """
        if self._refused:
            raise trio.BrokenResourceError("the client was told that its body is refused")
        if self.returned:
            raise trio.ClosedResourceError("this connection has gone back")
        if not data.startswith(_CONTINUE):
            self._answering = True
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """End our direction, unless the connection has gone back."""
        if not self.returned:
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection, unless it has gone back."""
        self._closed = True
        self._answered.set()
        if not self.returned:
            await self._stream.aclose()
