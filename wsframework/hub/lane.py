"""A lane of a mailbox: a bounded trio memory channel, and the policy for what does not fit into it.

Subscriptions that have no bounds and no policy of their own share one lane of their client. A subscription that has
them has a lane of its own, so that what may be dropped never stands in front of, or pushes out, what may not. The
lanes of a client are numbered through: what came first leaves first, whatever lane it waits in.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio

from .overflow import Bounds, Overflow
from .publication import Payload, Publication

if TYPE_CHECKING:
    from .place import Place


@attrs.define(eq=False)
class Slot:
    """A publication that waits for one client.

    Attributes:
        number: its place among everything that waits for that client.
        place: whose it is.
        publication: what was published.
        payload: what that looks like on the wire to this subscription.
        offset: the number in its topic; that of the first one when newer ones have taken the slot since.
        lost: publications that are missing right before it.
    """

    number: int
    place: Place
    publication: Publication
    payload: Payload
    offset: int
    lost: int = 0


class Lane:
    """What waits for one client under one policy. Its channel is opened when the client falls behind first."""

    __slots__ = ("_first", "_newest", "_receive_channel", "_send_channel", "bounds", "waiting", "waiting_bytes")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds: Bounds = bounds
        self.waiting: int = 0
        self.waiting_bytes: int = 0
        # Most clients never fall behind, and a channel is 1.8 KiB (``python -m benchmarks.costs queues``).
        self._send_channel: trio.MemorySendChannel[Slot] | None = None
        self._receive_channel: trio.MemoryReceiveChannel[Slot] | None = None
        self._first: Slot | None = None  # taken out of the channel to look at it; it waits nevertheless
        self._newest: dict[tuple[Place, Hashable], Slot] = {}  # LATEST: what waits, by its key

    def fits(self, size: int) -> bool:
        """Say whether a message of so many bytes can wait here now."""
        return self.waiting < self.bounds.capacity and self.waiting_bytes + size <= self.bounds.max_bytes

    def keep(self, slot: Slot) -> bool:
        """Have it wait, or do to it and to others what the policy says. False: only to disconnect the client helps."""
        overflow, size = self.bounds.overflow, slot.payload.size
        if overflow is Overflow.LATEST and size <= self.bounds.max_bytes and self._conflate(slot):
            return True
        if not self.fits(size):
            if overflow is Overflow.DISCONNECT:
                return False
            if overflow in (Overflow.DROP_OLDEST, Overflow.LATEST) and size <= self.bounds.max_bytes:
                while not self.fits(size):
                    self._drop_first(slot.publication)
        # With BLOCK the publisher has waited for this room. That it is not there can only be because the client kept up
        # then and is behind now, with an empty lane; one message more than its bytes allow is better than a lost one.
        # Nobody waits with news of who is present, so it may find the lane full.
        if self.fits(size) or (overflow is Overflow.BLOCK and self.waiting < self.bounds.capacity):
            self._put(slot)
        elif overflow is Overflow.BLOCK:
            return False
        else:
            slot.place.miss_last(slot)
            self._count_drop(slot, slot.publication)
        return True

    @property
    def number(self) -> float:
        """The number of the first slot; infinite when nothing waits."""
        slot = self._first
        if slot is None:
            if not self.waiting:
                return inf
            assert self._receive_channel is not None
            slot = self._first = self._receive_channel.receive_nowait()
        return slot.number

    def take_out(self) -> Slot:
        """Take the first slot. Something must wait."""
        slot = self._first
        if slot is None:
            assert self._receive_channel is not None
            slot = self._receive_channel.receive_nowait()
        self._first = None
        self.waiting -= 1
        self.waiting_bytes -= slot.payload.size
        slot.place.waiting -= 1
        slot.place.waiting_bytes -= slot.payload.size
        if self._newest:
            del self._newest[slot.place, slot.publication.key]
        return slot

    def _put(self, slot: Slot) -> None:
        if self._send_channel is None:
            self._send_channel, self._receive_channel = trio.open_memory_channel[Slot](self.bounds.capacity)
        slot.place.begin_waiting(slot)
        self._send_channel.send_nowait(slot)
        self.waiting += 1
        self.waiting_bytes += slot.payload.size
        if self.bounds.overflow is Overflow.LATEST:
            self._newest[slot.place, slot.publication.key] = slot
        slot.publication.receipt.add(queued=1)

    def _conflate(self, slot: Slot) -> bool:
        """Take the slot of the older message with the same key, if one waits.

        To move it to the end of the line instead would starve the key that changes most often.
        """
        key = slot.place, slot.publication.key
        older = self._newest.get(key)
        if older is None:
            return False
        more = slot.payload.size - older.payload.size
        while self.waiting_bytes + more > self.bounds.max_bytes:
            self._drop_first(slot.publication)
            if key not in self._newest:
                return False  # it was the first itself; the newer one goes to the end, where there is room now
        older.publication, older.payload = slot.publication, slot.payload
        self.waiting_bytes += more
        slot.place.waiting_bytes += more
        slot.publication.receipt.add(queued=1, conflated=1)
        slot.place.topic.counters.count(conflated=1)
        return True

    def _drop_first(self, because: Publication) -> None:
        slot = self.take_out()
        slot.place.miss_first(slot)
        self._count_drop(slot, because)

    def _count_drop(self, slot: Slot, because: Publication) -> None:
        because.receipt.add(dropped=1)
        slot.place.topic.counters.count(dropped_by=self.bounds.overflow)
