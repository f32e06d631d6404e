"""A stream of HTTP/2 that is a WebSocket: a wire for its `Connection`, as a socket is.

Flow control. A stream's window is 64 KiB. While a connection holds its wire, what comes is still taken in, which is at
most one window, and the window is not opened again before the wire resumes. So the task that reads for all streams
never waits for one WebSocket, and none can fill the window of the whole connection, which is large enough for all.

hypercorn calls `WebSocketStream.handle` and `WebSocketStream.idle`, which its own kinds of streams have.
"""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from hypercorn.protocol.events import EndBody, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent

from ...head.handshake import Handshake
from ...head.request import END_OF_HEAD, Headers
from ...scope import Peers
from ...wire import SEND_SIZE, Receiver
from .connect import translate_answer

ServeWebSocket = Callable[["WebSocketStream", Handshake, Peers], Awaitable[None]]


class Carrier(Protocol):
    """The HTTP/2 connection, as one of its streams sees it. Nothing here waits."""

    def answer(self, stream_id: int, status: int, headers: Headers) -> None:
        """Send the head of an answer."""

    def queued(self, stream_id: int) -> int:
        """How many bytes wait to be sent."""

    def queue(self, stream_id: int, data: bytes | memoryview) -> None:
        """Send this when it is the stream's turn and the client's window allows it."""

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the client send this much again."""

    def end_stream(self, stream_id: int) -> None:
        """End our direction behind what is queued."""

    def forget(self, stream_id: int, *, finish: bool) -> None:
        """Let go of a stream: send what is queued to ``finish`` it, or reset it if it has not ended on both sides."""


class WebSocketStream:
    """A stream of HTTP/2 that is a WebSocket: a wire for its `Connection`. It has the life of the stream."""

    idle = False  # for hypercorn, which closes a connection that has been idle for a while

    def __init__(self, carrier: Carrier, stream_id: int) -> None:
        self.stream_id: int = stream_id
        self.closed: trio.Event = trio.Event()
        self._carrier = carrier
        self._receiver: Receiver | None = None
        self._early = bytearray()  # before there is a receiver
        self._ended = False  # the client sends no more
        self._lost = False  # and nothing can be sent to it
        self._answered = False
        self._held = False
        self._wanted = False
        self._shut = False
        self._unacknowledged = 0

    def start(self, receiver: Receiver) -> None:
        """Receive for this one from now on."""
        self._receiver = receiver
        early, self._early = bytes(self._early), bytearray()
        if early:
            receiver.received(early)
        if self._ended:
            receiver.received(b"")

    # What the protocol calls

    def take(self, data: bytes, size: int) -> int:
        """Take in what came, ``size`` bytes of the window; return how many of them are free again."""
        if self._receiver is None:
            self._early += data
        elif data:
            self._receiver.received(data)
        self._unacknowledged += size
        if self._held:
            return 0
        free, self._unacknowledged = self._unacknowledged, 0
        return free

    async def handle(self, event: StreamEvent) -> None:
        """An event of the stream, from hypercorn."""
        match event:
            case EndBody():
                self._end()
            case StreamClosed():
                self.lose()

    def lose(self) -> None:
        """The client is gone."""
        self._lost = True
        self._end()

    def _end(self) -> None:
        """The client sends no more; it may still be reading."""
        if not self._ended:
            self._ended = True
            if self._receiver is not None:
                self._receiver.received(b"")

    def has_room(self) -> None:
        """Some of what was queued has left."""
        if self._wanted and self._receiver is not None:
            self._wanted = False
            self._receiver.writable()

    # What the connection calls

    def send(self, data: bytes | memoryview) -> int:
        if self._lost:
            raise OSError(errno.EPIPE, "the stream is closed")
        if not self._answered:
            self._answered = True
            head, _, rest = bytes(data).partition(END_OF_HEAD)
            self._carrier.answer(self.stream_id, *translate_answer(head))
            self._carrier.queue(self.stream_id, rest)  # an early message, or the sentence of a refusal
            return len(data)
        room = SEND_SIZE - self._carrier.queued(self.stream_id)
        if room <= 0:
            return 0
        piece = data[:room]
        self._carrier.queue(self.stream_id, piece)
        return len(piece)

    def ask_to_write(self) -> None:
        self._wanted = True

    def hold(self) -> None:
        self._held = True

    def resume(self) -> None:
        self._held = False
        free, self._unacknowledged = self._unacknowledged, 0
        if free:
            self._carrier.acknowledge(self.stream_id, free)

    def shut_down(self) -> None:
        self._shut = True
        self._carrier.end_stream(self.stream_id)
        if self._ended and self._receiver is not None:  # and was told so when it still had something to say
            self._receiver.received(b"")

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self._lost = True
            self.resume()  # what was held back is a part of the window of the whole connection, too
            # Our last words may still be queued: a client ends its side with its close frame, without awaiting ours.
            self._carrier.forget(self.stream_id, finish=self._shut and self._ended)
