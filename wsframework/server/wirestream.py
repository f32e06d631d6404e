"""A wire of the reactor as a trio stream, for those who read and write in a task of their own: the HTTP side."""

from __future__ import annotations

import trio
from trio.lowlevel import ParkingLot

from .wire import RECEIVE_SIZE, StartableWire


class WireStream(trio.abc.HalfCloseableStream):
    """Reads and writes on a wire that others have read from before, and may read from again.

    One task may send and one may receive at a time. What has come and is not yet received is at most one read of the
    socket beyond `RECEIVE_SIZE`.

    Args:
        wire: it becomes this stream's, until somebody else starts it.
    """

    def __init__(self, wire: StartableWire) -> None:
        self._wire = wire
        self._data = bytearray()
        self._held = False
        self._ended = False  # the other side sends no more
        self._closed = False
        self._reader = ParkingLot()
        self._writer = ParkingLot()
        wire.start(self)

    # What the wire calls

    def received(self, data: bytes) -> None:
        if data:
            self._data += data
        else:
            self._ended = True
        # An end would be told again and again, while what is to be sent may take its time.
        if (self._ended or len(self._data) >= RECEIVE_SIZE) and not self._held:
            self._held = True
            self._wire.hold()
        self._reader.unpark()

    def writable(self) -> None:
        self._writer.unpark()

    def hung_up(self) -> None:
        """Whoever receives will come to it, behind what was sent before."""

    def abandon(self) -> None:
        self._close()

    # What tasks call

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come, at most ``max_bytes``; nothing when the other side has ended.

        Raises:
            trio.ClosedResourceError: this side was closed.
        """
        await trio.lowlevel.checkpoint()
        while not (self._data or self._ended or self._closed):
            await self._reader.park()
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        size = len(self._data) if max_bytes is None else max_bytes
        data = bytes(self._data[:size])
        del self._data[:size]
        if self._held and not self._data and not self._ended:
            self._held = False
            self._wire.resume()
        return data

    def release(self) -> bytes:
        """Give the wire to whoever starts it next; return what has come and was not received."""
        self._closed = True
        data = bytes(self._data)
        if self._held:
            self._wire.resume()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of this, and see that it leaves.

        Raises:
            trio.BrokenResourceError: the other side is gone.
            trio.ClosedResourceError: this side was closed.

        If it is cancelled: a part of the data may have left.
        """
        await trio.lowlevel.checkpoint()
        rest = memoryview(data)
        while not self._closed:
            rest = rest[self._send(rest) :]
            if not rest and not self._wire.behind:
                return
            self._wire.ask_to_write()
            await self._writer.park()
        raise trio.ClosedResourceError("this stream was closed")

    def _send(self, data: memoryview) -> int:
        try:
            # Without data, too, while the wire is behind: it says whether what it took can still leave.
            return self._wire.send(data) if data or self._wire.behind else 0
        except OSError as error:
            raise trio.BrokenResourceError("the other side is gone") from error

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: `send_all` waits for itself."""
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Tell the other side that this was all."""
        if self._closed:
            raise trio.ClosedResourceError("this stream was closed")
        self._wire.shut_down()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Let go of the wire at once; who sends or receives is told."""
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            self._wire.close()
            self._reader.unpark_all()
            self._writer.unpark_all()
