"""One subscriber's place in one topic: what it is to be offered next, what waits for it, and what it missed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..encoding import to_message
from .envelope import Envelope
from .lane import Lane, Slot
from .position import Gap, OnGap, Position
from .publication import Payload, Publication

if TYPE_CHECKING:
    from .subscriber import Subscriber
    from .topic import Topic

logger: logging.Logger = logging.getLogger("wsframework.hub")

# What ``next`` is for one who is offered nothing.
_ENDED = -1
_JOINING = -2


class Place:
    """One subscriber's place in one topic.

    Attributes:
        next: the number of the publication it is to be offered next; negative: it is offered nothing.
        lane: where its publications wait while the client is behind.
        waiting: how many of them do, and ``waiting_bytes`` how large they are together.
        envelope: what they are wrapped in.
        recovered: it began with a position, and nothing is missing behind that.
    """

    __slots__ = (
        "_lost",
        "_lost_last",
        "_seen",
        "envelope",
        "lane",
        "next",
        "on_gap",
        "recovered",
        "subscriber",
        "topic",
        "waiting",
        "waiting_bytes",
    )

    def __init__(
        self,
        topic: Topic,
        subscriber: Subscriber,
        lane: Lane,
        on_gap: OnGap | None = None,
        envelope: Envelope | None = None,
    ) -> None:
        self.topic: Topic = topic
        self.subscriber: Subscriber = subscriber
        self.next: int = _JOINING
        self.lane: Lane = lane
        self.on_gap: OnGap | None = on_gap
        self.envelope: Envelope | None = topic.same(envelope)
        self.recovered: bool = False
        self.waiting: int = 0
        self.waiting_bytes: int = 0
        self._lost = 0  # publications that are missing before the first that waits, or, if none waits, at all
        self._lost_last = 0  # those that are missing behind the last that waits
        self._seen = 0  # while something waits or is missing, and after the end: the last one before that

    def catch_up(self) -> None:
        """Offer the subscriber what was published so far. An envelope that raises ends its connection, as elsewhere."""
        if not self.topic.pending:
            return
        try:
            self.topic.deliver_to(self)
        except Exception:
            logger.exception("an envelope failed; its connection was closed, the others go on")
            self.subscriber.fail()

    @property
    def live(self) -> bool:
        """It is offered what is published."""
        return self.next >= 0

    @property
    def joining(self) -> bool:
        """It is not live yet, and has not ended."""
        return self.next == _JOINING

    def end(self) -> None:
        """Get nothing more."""
        if self.topic.presence is not None:
            self.topic.presence.leave(self)
        self.topic.joining.pop(self, None)
        self._seen = self.position.offset
        self.next = _ENDED
        self.topic.places.pop(self.subscriber, None)
        self.topic.blocking.pop(self, None)
        self.subscriber.made_room()

    def concerns(self, publication: Publication) -> bool:
        """Say whether it is for this subscriber."""
        return self.subscriber.number not in publication.exclude and (
            publication.to is None or self.subscriber.identity in publication.to
        )

    @property
    def position(self) -> Position:
        """The last publication before which the connection has taken, or will never get, everything."""
        if self.waiting or self._lost or self.next < 0:
            return Position(self.topic.epoch, self._seen)
        return Position(self.topic.epoch, self.next - 1)

    # What is missing. It stands before the first that waits, before any other that does, or behind the last.

    def begin_waiting(self, slot: Slot) -> None:
        """The last in line is this one now."""
        if self.waiting:
            slot.lost, self._lost_last = self._lost_last, 0
        elif not self._lost:
            self._seen = slot.offset - 1
        self.waiting += 1
        self.waiting_bytes += slot.payload.size

    def miss_first(self, slot: Slot) -> None:
        """What stood first in line was dropped."""
        self._lost += slot.lost + 1
        self._let_go()

    def miss_last(self, slot: Slot) -> None:
        """What would have stood last in line was dropped."""
        if self.waiting:
            self._lost_last += 1
        else:
            if not self._lost:
                self._seen = slot.offset - 1
            self._lost += 1
        self.subscriber.missing[self] = None

    def pass_on(self, slot: Slot) -> Payload | None:
        """What stood first in line leaves. Return what is sent about what is missing before it, or None."""
        self._lost += slot.lost
        told = self.tell_gap() if self._lost else None
        self._seen = slot.offset
        self._let_go()
        return told

    def tell_gap(self) -> Payload | None:
        """Tell what is missing before the first that waits. Return what is sent about it, or None."""
        gap = Gap(self._lost, Position(self.topic.epoch, self._seen))
        self._lost = 0
        return self.say(gap)

    def say(self, gap: Gap) -> Payload | None:
        """Tell of a gap. Return what is sent about it to the client, or None."""
        if self.on_gap is None:
            return None if self.envelope is None else self.envelope._wrap_gap(self.topic.name, gap)
        told = self.on_gap(gap)
        return None if told is None else Payload(to_message(told))

    @property
    def misses_rest(self) -> bool:
        """Nothing waits, and something is missing."""
        return not self.waiting and self._lost > 0

    def _let_go(self) -> None:
        """The slot that was first has left the line, so what was missing behind it may be all there is."""
        if not self.waiting:
            self._lost += self._lost_last
            self._lost_last = 0
        if self._lost or self._lost_last:
            self.subscriber.missing[self] = None
