"""The WebSockets of one HTTP/2 connection: what their streams send and take goes through hypercorn's HTTP/2 from here.

This module knows hypercorn's inner classes `H2Protocol` and `StreamBuffer`.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

import h2.errors
import h2.exceptions
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.trio.worker_context import EventWrapper
from priority.priority import DuplicateStreamError, MissingStreamError

from ...head.request import Headers
from .stream import WebSocketStream


class Signal(EventWrapper):
    """hypercorn's event, which we set from functions that do not wait."""

    def set_nowait(self) -> None:
        self._event.set()


class _Queue(StreamBuffer):
    """What a WebSocket has to send. It never makes anybody wait: the wire says how much there is."""

    def __init__(self, stream: WebSocketStream) -> None:
        super().__init__(EventWrapper)
        self._stream = stream

    async def pop(self, max_length: int) -> bytes:
        data = await super().pop(max_length)
        if data:
            self._stream.has_room()
        return data

    async def close(self) -> None:
        await super().close()
        self._stream.lose()


class WebSocketCarrier:
    """Opens streams that are WebSockets, and carries their bytes. Nothing here waits: it leaves what is to be sent.

    Args:
        protocol: hypercorn's side of the connection, of which the streams are a part.
        signal: is set when there is something to send.
    """

    def __init__(self, protocol: H2Protocol, signal: Signal) -> None:
        self._config = protocol.config
        self._connection = protocol.connection
        self._priority = protocol.priority
        self._buffers = protocol.stream_buffers
        self._streams: dict[int, Any] = protocol.streams
        self._signal = signal
        self._open: dict[int, WebSocketStream] = {}

    @property
    def idle(self) -> bool:
        """There is no WebSocket."""
        return not self._open

    def open(self, stream_id: int) -> WebSocketStream:
        """Make a WebSocket of a stream that has just begun."""
        stream = WebSocketStream(self, stream_id)
        self._streams[stream_id] = self._open[stream_id] = stream
        self._buffers[stream_id] = _Queue(stream)
        with suppress(DuplicateStreamError):  # a PRIORITY frame came first
            self._priority.insert_stream(stream_id)
        self._priority.block(stream_id)
        return stream

    def end(self) -> None:
        """The client is gone: so it is for each of them."""
        for stream in list(self._open.values()):
            stream.lose()

    # What a stream calls

    def answer(self, stream_id: int, status: int, headers: Headers) -> None:
        """Send the head of an answer.

        Raises:
            OSError: the stream is closed.
        """
        try:
            self.send_head(stream_id, status, headers)
        except h2.exceptions.ProtocolError as error:
            raise OSError(errno.EPIPE, "the stream is closed") from error
        self._signal.set_nowait()

    def send_head(self, stream_id: int, status: int, headers: Headers) -> None:
        """Send the head of an answer, as `answer` does, with h2's own errors, and without a wake of who sends."""
        given = {name for name, _ in headers}
        ours = [field for field in self._config.response_headers("h2") if field[0] not in given]
        fields = [(b":status", b"%d" % status), *headers, *ours]
        self._connection.send_headers(stream_id, fields)

    def queued(self, stream_id: int) -> int:
        """How many bytes wait to be sent."""
        queue = self._buffers.get(stream_id)
        return 0 if queue is None else len(queue.buffer)

    def queue(self, stream_id: int, data: bytes | memoryview) -> None:
        """Send this when it is the stream's turn and the client's window allows it.

        Raises:
            OSError: the stream is closed.
        """
        queue = self._buffers.get(stream_id)
        if queue is None:
            raise OSError(errno.EPIPE, "the stream is closed")
        queue.buffer += data
        self._wake(stream_id)

    def acknowledge(self, stream_id: int, size: int) -> None:
        """Let the client send this much again."""
        if size:
            with suppress(h2.exceptions.ProtocolError, KeyError):
                self._connection.acknowledge_received_data(size, stream_id)
            self._signal.set_nowait()

    def end_stream(self, stream_id: int) -> None:
        """End our direction behind what is queued."""
        queue = self._buffers.get(stream_id)
        if queue is not None:
            queue.set_complete()
            self._wake(stream_id)

    def forget(self, stream_id: int, *, finish: bool) -> None:
        """Let go of a stream: send what is queued to ``finish`` it, or reset it if it has not ended on both sides."""
        self._open.pop(stream_id, None)
        if finish:
            self._wake(stream_id)
            return
        self._buffers.pop(stream_id, None)
        with suppress(MissingStreamError):
            self._priority.remove_stream(stream_id)
        with suppress(h2.exceptions.ProtocolError):
            self._connection.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        self._signal.set_nowait()

    def _wake(self, stream_id: int) -> None:
        with suppress(MissingStreamError):
            self._priority.unblock(stream_id)
        self._signal.set_nowait()
