"""The pump: the one task that delivers what was published, a bounded piece at a time.

It runs a scheduler tick after the first publication, and goes through the subscribers of one topic after the other.
After so many subscribers, or so much time, it lets other tasks run, in the middle of a topic if need be. Nobody
notices: each subscription knows what it was offered (see `wsframework.hub.topic`), so that whoever joins, leaves or
sends in between finds its place.
"""

from __future__ import annotations

import sys
from collections import deque
from time import perf_counter

from trio.lowlevel import ParkingLot, checkpoint

from .publication import Publication
from .topic import Topic

# A send to a socket takes a few microseconds, so 64 are well below a millisecond, and looking at the clock after each
# 64 costs nothing that could be measured.
_PIECE = 64
_MOST = 256  # subscribers between two checkpoints
_LONGEST = 0.001  # seconds likewise


class Pump:
    """Delivers what is published to the topics of one hub.

    Attributes:
        dirty: topics with publications that were not offered to everybody. Always the same object: subscribers look at
            it before they send something of their own.
    """

    def __init__(self) -> None:
        self.dirty: deque[Topic] = deque()
        self._idle = ParkingLot()
        self._settling = False

    def publish(self, topic: Topic, publication: Publication) -> None:
        """Deliver a publication, later."""
        if not topic.pending:
            if not self.dirty:
                self._idle.unpark()
            self.dirty.append(topic)
        topic.publish(publication)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            while not self.dirty:
                await self._idle.park()
            self._work()
            await checkpoint()

    def settle(self) -> None:
        """Deliver at once everything that was published so far.

        Called by a receipt that is read inside ``on_gap``, that is in the middle of this, it does nothing: such a
        receipt has its numbers later.
        """
        if self._settling:
            return
        self._settling = True
        try:
            for topic, end in [(topic, topic.end) for topic in self.dirty]:
                while topic.begin < end:
                    topic.sweep(sys.maxsize)
                    self._clean(topic)
        finally:
            self._settling = False

    def _work(self) -> None:
        """Deliver for a while."""
        visited = 0
        until = perf_counter() + _LONGEST
        self._settling = True
        try:
            while self.dirty and visited < _MOST:
                topic = self.dirty[0]
                if not topic.sweep(_PIECE):
                    self._clean(topic)
                visited += min(_PIECE, len(topic.places) + 1)
                if perf_counter() >= until:
                    break
        finally:
            self._settling = False

    def _clean(self, topic: Topic) -> None:
        """A sweep is done. What was published meanwhile gets one of its own, after the other topics."""
        self.dirty.remove(topic)
        if topic.pending:
            self.dirty.append(topic)
