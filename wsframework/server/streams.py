"""A connection over any trio stream: the in-memory streams of tests, and sockets and TLS where there is no epoll.

It has a task that reads and a task that writes, and calls the same synchronous connection code as the reactor.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import ParkingLot

from .containment import log_failure
from .wire import RECEIVE_SIZE, SEND_SIZE

if TYPE_CHECKING:
    from .connection import Connection


class StreamWire:
    """A trio stream that looks like a socket with a send buffer. It owns the stream.

    Args:
        stream: the stream.
        buffer: bytes that may be on their way before the connection counts as behind. One write may be, in any case.

    Attributes:
        closed: set when the stream is closed, and `run` has nothing more to do.
    """

    def __init__(self, stream: trio.abc.Stream, buffer: int = SEND_SIZE) -> None:
        self._stream = stream
        self._limit = buffer
        self._buffer: list[bytes | memoryview] = []
        self._on_their_way = 0  # bytes in the buffer, and in the stream's hands
        self._wanted = False  # the connection has more
        self._shut = False
        self._held = False
        self._lot = ParkingLot()  # the writer, when it has nothing to do
        self._room = ParkingLot()  # the reader, while it is held
        # Shielded: when the server is cancelled there is still a close frame to send. `close` ends it.
        self._scope = trio.CancelScope(shield=True)
        self.closed: trio.Event = trio.Event()

    async def run(self, connection: Connection) -> None:
        """Read and write for this connection until it is closed."""
        self._connection = connection
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read()
        except Exception:
            log_failure()
        finally:
            connection.abandon()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
            self.closed.set()

    async def _read(self) -> None:
        data = b"?"
        while data:
            # Also while it is held, but then no more than this once: a client that leaves is noticed.
            try:
                data = bytes(await self._stream.receive_some(RECEIVE_SIZE))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if self._held and not data:
                self._connection.hung_up()
            while self._held:
                await self._room.park()
            if data or not self._shut:  # else both sides have ended, and the writer may still be at our last words
                self._connection.received(data)

    async def _write(self) -> None:
        while True:
            while self._buffer:
                data = b"".join(self._buffer)
                self._buffer.clear()
                try:
                    await self._stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._connection.received(b"")
                    return
                self._on_their_way -= len(data)
                if self._wanted:
                    self._wanted = False
                    self._connection.writable()
            if self._shut:
                await self._finish()
                return
            await self._lot.park()

    async def _finish(self) -> None:
        """End our direction of the stream; the reader goes on until the other side ends its own."""
        try:
            if await end_sending(self._stream):
                return
            await self._stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._connection.received(b"")

    def send(self, data: bytes | memoryview) -> int:
        # Never more than this: the connection has to see how far it gets, or the write deadline is blind.
        room = self._limit - self._on_their_way if self._on_their_way else SEND_SIZE
        if room <= 0:
            return 0
        piece = data if len(data) <= room else memoryview(data)[:room]
        self._buffer.append(piece)
        self._on_their_way += len(piece)
        self._lot.unpark()
        return len(piece)

    def ask_to_write(self) -> None:
        self._wanted = True

    def hold(self) -> None:
        self._held = True

    def resume(self) -> None:
        self._held = False
        self._room.unpark()

    def shut_down(self) -> None:
        self._shut = True
        self._lot.unpark()

    def close(self) -> None:
        self._scope.cancel()

    def close_after(self, seconds: float) -> None:
        """Close when this much time has passed, whatever is still going on."""
        self._scope.deadline = trio.current_time() + seconds


class DeadlineStream:
    """A stream whose writes have to make progress, as those of a WebSocket have.

    Args:
        stream: carries the bytes; this owns it.
        write_timeout: seconds in which `SEND_SIZE` bytes, or all, have to leave. Later the stream is closed.
    """

    def __init__(self, stream: trio.abc.Stream, write_timeout: float) -> None:
        self._stream = stream
        self._write_timeout = write_timeout

    async def send_all(self, data: bytes) -> None:
        """Send all of this.

        Raises:
            trio.BrokenResourceError: the other side is gone, or took too little in time.
        """
        for at in range(0, len(data), SEND_SIZE):
            with trio.move_on_after(self._write_timeout) as scope:
                await self._stream.send_all(data[at : at + SEND_SIZE] if len(data) > SEND_SIZE else data)
            if scope.cancelled_caught:
                await trio.aclose_forcefully(self._stream)
                raise trio.BrokenResourceError(f"the other side took too little in {self._write_timeout:g} s")

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; nothing when the other side has ended."""
        return bytes(await self._stream.receive_some(RECEIVE_SIZE if max_bytes is None else max_bytes))

    async def send_eof(self) -> None:
        """End our direction."""
        await end_sending(self._stream)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()


@asynccontextmanager
async def cut_when_cancelled(
    stream: trio.abc.AsyncResource, is_ours: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """Close a stream at once when the block is cancelled, so that who sends on it ends, too.

    hypercorn shields what it sends. A client that reads slowly, but fast enough for the write deadline, would hold the
    server for as long as a large response takes.

    Args:
        stream: the stream.
        is_ours: whether it is still to be closed then.
    """

    async def cut() -> None:
        try:
            await trio.sleep_forever()
        finally:
            if not left and is_ours():
                await trio.aclose_forcefully(stream)

    left = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cut)
        try:
            yield
            left = True
        finally:
            nursery.cancel_scope.cancel()


async def end_sending(stream: trio.abc.Stream) -> bool:
    """Tell the other side that this was all, and leave it its time to read that. False: this stream cannot.

    Under TLS only the TCP connection below is half-closed, without a ``close_notify``: trio sends that not at all
    or waits for its answer. What was said last is a close frame or a response with its length, which nobody can cut
    unnoticed; and to close the socket while the client still sends would reset it, and lose what was said last.
    """
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.abc.HalfCloseableStream):
        return False
    await stream.send_eof()
    return True
