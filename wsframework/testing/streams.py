"""A connection in memory, with a window as a socket has: who does not read makes the other side wait."""

from __future__ import annotations

import trio
from trio.lowlevel import ParkingLot, checkpoint

WINDOW = 64 * 1024  # bytes on their way in one direction before the sender has to wait


class _Pipe:
    """One direction."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._data = bytearray()
        self._ended = False  # the sender is done
        self._broken = False  # nothing gets through any more
        self._stalled = False  # the receiver takes nothing for now
        self._lot = ParkingLot()

    async def put(self, data: bytes | bytearray | memoryview) -> None:
        await checkpoint()
        rest = memoryview(data)
        while rest:
            while len(self._data) >= self._window and not self._broken:
                await self._lot.park()
            if self._broken:
                raise trio.BrokenResourceError("the other side is gone")
            size = self._window - len(self._data)
            self._data += rest[:size]
            rest = rest[size:]
            self._lot.unpark_all()

    async def get(self, max_bytes: int | None) -> bytes:
        await checkpoint()
        while not self._broken and (self._stalled or not (self._data or self._ended)):
            await self._lot.park()
        if self._broken:
            raise trio.BrokenResourceError("the other side is gone")
        size = len(self._data) if max_bytes is None else max_bytes
        data = bytes(self._data[:size])
        del self._data[:size]
        self._lot.unpark_all()
        return data

    def end(self) -> None:
        self._ended = True
        self._lot.unpark_all()

    def break_off(self) -> None:
        self._broken = True
        self._lot.unpark_all()

    def stall(self, stalled: bool) -> None:
        self._stalled = stalled
        self._lot.unpark_all()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        await self._outgoing.put(data)

    async def wait_send_all_might_not_block(self) -> None:  # pragma: no cover - a part of the interface
        await checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check()
        return await self._incoming.get(max_bytes)

    async def send_eof(self) -> None:
        self._check()
        self._outgoing.end()
        await checkpoint()

    async def aclose(self) -> None:
        self._closed = True
        self._outgoing.end()
        self._incoming.break_off()
        await checkpoint()

    def stall(self, stalled: bool = True) -> None:
        """Take nothing from the other side, or go on taking."""
        self._incoming.stall(stalled)

    def vanish(self) -> None:
        """Be gone without a word, as after a reset."""
        self._closed = True
        self._outgoing.break_off()
        self._incoming.break_off()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end was closed")


def memory_connection(window: int = WINDOW) -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a connection in memory."""
    there, back = _Pipe(window), _Pipe(window)
    return MemoryStream(back, there), MemoryStream(there, back)
