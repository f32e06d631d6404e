"""What costs a client of HTTP next to nothing and us some work is counted: resets, empty frames, bodies in crumbs.

Over HTTP/2, streams that are opened and reset are CVE-2023-44487. Who exceeds the rates is told ENHANCE_YOUR_CALM, and
closed. Over HTTP/1.1 who sends too many tiny chunks gets 400.
"""

from __future__ import annotations

import h2.events
import trio

# Resets: nghttp2 allows 1,000 at once and 33 a second after that. A browser that leaves a page resets what it had open,
# which is 100 streams at most.
_RESETS, _RESETS_PER_SECOND = 200, 33
_EMPTY_FRAMES, _EMPTY_FRAMES_PER_SECOND = 1000, 100
# Pieces of bodies: a chunk or a frame of data. Each costs the same, however little is in it. One of 16 bytes or more
# is paid for by what it carries, as in Go's net/http (CVE-2023-39326), so this is about bodies in smaller ones alone.
_PIECES, _PIECES_PER_SECOND, _BYTES_PER_PIECE = 10_000, 1000, 16
_WINDOWS = 2  # that a client opens again for what we have sent: the stream's and the connection's


class BodyGauge:
    """Counts the pieces in which the bodies of a connection come."""

    def __init__(self) -> None:
        self._pieces = _Bucket(_PIECES, _PIECES_PER_SECOND)

    def overflows(self, size: int) -> bool:
        """Count a piece of so many bytes; True if there were too many small ones."""
        self._pieces.give(size / _BYTES_PER_PIECE)
        return not self._pieces.take()


class FloodGauge:
    """Counts the frames of a connection that speaks HTTP/2."""

    def __init__(self) -> None:
        self._resets = _Bucket(_RESETS, _RESETS_PER_SECOND)
        self._empty_frames = _Bucket(_EMPTY_FRAMES, _EMPTY_FRAMES_PER_SECOND)

    def overflows(self, event: h2.events.Event) -> bool:
        """Count what the client sent; True if that was too much."""
        match event:
            case h2.events.StreamReset():
                return not self._resets.take()
            case h2.events.DataReceived(data=b"", stream_ended=None):
                return not self._empty_frames.take()
            case h2.events.PingReceived() | h2.events.RemoteSettingsChanged() | h2.events.PriorityUpdated():
                return not self._empty_frames.take()
            case h2.events.WindowUpdated() | h2.events.UnknownFrameReceived():
                return not self._empty_frames.take()
        return False

    def sent(self) -> None:
        """We have sent a frame of data, for which the client may open windows."""
        self._empty_frames.give(_WINDOWS)


class _Bucket:
    """A token bucket: so many at once, and so many a second after that."""

    def __init__(self, size: float, rate: float) -> None:
        self._size = self._tokens = size
        self._rate = rate
        self._looked = trio.current_time()

    def take(self) -> bool:
        """Take one; False when there is none left."""
        now = trio.current_time()
        self._tokens = min(self._size, self._tokens + (now - self._looked) * self._rate)
        self._looked = now
        self._tokens -= 1
        return self._tokens >= 0

    def give(self, tokens: float) -> None:
        """Put some back, for something that was earned."""
        self._tokens = min(self._size, self._tokens + tokens)
