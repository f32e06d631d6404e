"""What costs a client of HTTP/2 nothing and us some work is counted: resets, and frames that carry nothing.

Streams that are opened and reset are CVE-2023-44487. Who exceeds the rates is told ENHANCE_YOUR_CALM, and closed.
"""

from __future__ import annotations

import h2.events
import trio

# Resets: nghttp2 allows 1,000 at once and 33 a second after that. A browser that leaves a page resets what it had open,
# which is 100 streams at most.
_RESETS, _RESETS_PER_SECOND = 200, 33
_EMPTY_FRAMES, _EMPTY_FRAMES_PER_SECOND = 1000, 100
_WINDOWS = 2  # that a client opens again for what we have sent: the stream's and the connection's


class FloodGauge:
    """Counts for one connection."""

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
            case h2.events.WindowUpdated():
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
