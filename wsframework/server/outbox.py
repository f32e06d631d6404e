"""What waits for a client that does not take bytes as fast as we have them, and how long it has kept us waiting.

A connection has an outbox only while something waits. Most never need one.
"""

from __future__ import annotations

from collections import deque

from .wire import Wire

_CROWDED_PIECES = 64
_CROWDED_BYTES = 256 * 1024

# Bytes that count as progress, and renew the write deadline.
_PROGRESS = 64 * 1024


class Outbox:
    """Bytes in order, behind those that the wire did not take.

    Attributes:
        late_pong: the payload of the client's newest ping, to be answered when everything here has left. The newest
            will do (RFC 6455 section 5.5.3), so a flood of pings queues one answer.
        stalled_since: when the client last made progress.
    """

    __slots__ = ("_moved", "_pieces", "_size", "late_pong", "stalled_since")

    def __init__(self, rest: memoryview, now: float) -> None:
        self.late_pong: bytes | None = None
        self.stalled_since: float = now
        self._pieces: deque[bytes | memoryview] = deque((rest,))
        self._size = len(rest)
        self._moved = 0  # bytes that have left since the last progress

    def add(self, data: bytes) -> None:
        """Put this behind all that waits."""
        self._pieces.append(data)
        self._size += len(data)

    @property
    def crowded(self) -> bool:
        """So much waits that no message should be added before some of it has left."""
        return self._size >= _CROWDED_BYTES or len(self._pieces) >= _CROWDED_PIECES

    def send(self, wire: Wire) -> int:
        """Hand over what the wire takes; return how many bytes that were.

        Raises:
            OSError: the other side is gone.
        """
        pieces, before = self._pieces, self._size
        while pieces:
            piece = pieces[0]
            sent = wire.send(piece)
            self._size -= sent
            if sent < len(piece):
                pieces[0] = memoryview(piece)[sent:]
                break
            pieces.popleft()
        return before - self._size

    @property
    def empty(self) -> bool:
        """Everything has left."""
        return not self._pieces

    def progressed(self, sent: int, now: float) -> bool:
        """Count bytes that have left; True, and the deadline is renewed, when they make up enough to be progress."""
        self._moved += sent
        if self._moved < _PROGRESS:
            return False
        self._moved = 0
        self.stalled_since = now
        return True
