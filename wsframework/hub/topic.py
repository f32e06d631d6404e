"""One topic: what was published and not yet offered, and who subscribes.

How order is kept. A topic numbers its publications, and every subscription knows the number of the next one it is to
be offered. Whoever offers, the pump or a subscriber that wants to send something of its own first, offers from that
number on. So nobody sees a message twice, a subscriber that joins while the pump is under way starts with what is
published after it, and all see one order.
"""

from __future__ import annotations

import logging
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import attrs
import trio

from ..messages import WireFormat
from .envelope import Envelope
from .history import History, Memory
from .overflow import Overflow
from .place import Place
from .position import Position
from .publication import WRITE_SIZE, Publication, Published, join
from .statistics import Counters, TopicStatistics
from .subscriber import Subscriber

if TYPE_CHECKING:
    from .presence import Presence
    from .replay import Replay

LONGEST_NAME = 255
"""Bytes of a topic's name as UTF-8: what Centrifugo allows, and what fits into one component of a file's path."""

logger: logging.Logger = logging.getLogger("wsframework.hub")


@attrs.define(eq=False)
class _Sweep:
    """The pump's way through all subscribers of a topic, with what was pending when it began."""

    publications: list[Publication]
    places: list[Place]
    begin: int
    end: int
    several: bool
    left_out: set[int]
    aimed: bool
    at: int = 0
    delivered: int = 0
    joined: dict[WireFormat, Any] = attrs.Factory(dict)
    joined_in: dict[int, dict[WireFormat, Any]] = attrs.Factory(dict)

    def wrapped(self, place: Place, envelope: Envelope) -> Any:
        """What goes out to all that have this envelope and this wire format."""
        # By identity, which `Topic.same` makes one with equality: to hash an attrs class costs more than an offer does.
        joined = self.joined_in.get(id(envelope))
        if joined is None:
            joined = self.joined_in[id(envelope)] = {}
        wire_format = place.subscriber.transport.wire_format
        encoded = joined.get(wire_format)
        if encoded is None:
            payloads = [publication.wrapped(place) for publication in self.publications]
            encoded = joined[wire_format] = join(payloads, wire_format)
        return encoded


class Topic:
    """A name to publish to. Lives as long as somebody subscribes or something is remembered.

    Attributes:
        places: of those who subscribe and are live.
        joining: of those who catch up yet, and how far they are.
        memory: of what was published, if it has one.
        presence: who is here, if anybody has asked or told.
        pending: publications that the pump has not offered to everybody yet; ``begin`` is the number of the first.
        blocking: the places that publishers wait for; a set that keeps its order.
        turn: publishers that have to wait do so one after the other.
        watched: somebody will look whether its memory is empty.
    """

    __slots__ = (
        "_envelopes",
        "_epoch",
        "_sweep",
        "begin",
        "blocking",
        "counters",
        "joining",
        "memory",
        "name",
        "pending",
        "places",
        "presence",
        "turn",
        "watched",
    )

    def __init__(self, name: str, counters: Counters, history: History | None = None) -> None:
        self.name: str = name
        self.places: dict[Subscriber, Place] = {}
        self.joining: dict[Place, Replay] = {}
        self.memory: Memory | None = None if history is None else Memory(history, 1)
        self.pending: list[Publication] = []
        self.begin: int = 1
        self.blocking: dict[Place, None] = {}
        self.turn: trio.StrictFIFOLock | None = None
        self.counters: Counters = Counters(counters)
        self.presence: Presence | None = None
        self.watched: bool = False
        self._envelopes: WeakKeyDictionary[Envelope, ref[Envelope]] | None = None
        self._epoch: str | None = None
        self._sweep: _Sweep | None = None

    @property
    def end(self) -> int:
        """The number that the next publication will have."""
        return self.begin + len(self.pending)

    @property
    def epoch(self) -> str:
        """The name of this life of the topic."""
        if self._epoch is None:
            self._epoch = token_hex(4)
        return self._epoch

    def go_live(self, place: Place) -> None:
        """Have somebody take part who has what was published so far, or is not to have it."""
        self.joining.pop(place, None)
        self.places[place.subscriber] = place
        place.next = self.end
        if place.lane.bounds.overflow is Overflow.BLOCK:
            self.blocking[place] = None
            self.turn = self.turn or trio.StrictFIFOLock()

    def remembers(self, since: Position) -> bool:
        """Say whether everything behind this position is there, and nothing else is taken for it."""
        if since.epoch != self.epoch or not 0 <= since.offset < self.end:
            return False
        return since.offset == self.end - 1 or (self.memory is not None and self.memory_first <= since.offset + 1)

    @property
    def memory_first(self) -> int:
        """The number of the oldest publication that is remembered, or of the next one when none is."""
        return self.memory.first if self.memory else self.end

    def read(self, since: Position | None, limit: int | None) -> list[Published]:
        """Return what is remembered behind this position, of which at most so many; without one the newest."""
        if not self.memory:
            return []
        first = self.memory.first
        if since is not None:
            first = since.offset + 1
        elif limit is not None:
            first = max(first, self.end - limit)
        return [each.published(self.name, self.epoch) for each in self.memory.read(first, limit)]

    def same(self, envelope: Envelope | None) -> Envelope | None:
        """Return the one of those in use here that is equal to this, if there is one, or else this."""
        if envelope is None:
            return None
        if self._envelopes is None:
            self._envelopes = WeakKeyDictionary()
        found = self._envelopes.get(envelope)
        same = None if found is None else found()
        if same is None:
            same = envelope
            self._envelopes[envelope] = ref(envelope)
        return same

    @property
    def in_use(self) -> bool:
        """Somebody subscribes or may come back, or something is remembered."""
        return bool(self.places or self.joining or self.memory or self.presence)

    def publish(self, publication: Publication) -> None:
        """Give a publication its number and have it wait for the pump."""
        publication.number(self.end)
        self.pending.append(publication)
        self.counters.published += 1
        if self.memory is not None:
            self.memory.append(publication)

    def sweep(self, budget: int) -> int:
        """Offer what is pending to so many subscribers more, as one joined buffer to all that keep up.

        Returns:
            how many subscribers are left to visit. At 0, what was pending when this sweep began no longer is.
        """
        sweep = self._sweep or self._begin_sweep()
        places = sweep.places[sweep.at : sweep.at + budget]
        sweep.at += len(places)
        self._offer(sweep, places)
        left = len(sweep.places) - sweep.at
        if not left:
            self._sweep = None
            self.begin = sweep.end
            del self.pending[: len(sweep.publications)]
            for publication in sweep.publications:
                publication.receipt.add(delivered=sweep.delivered)
                publication.receipt.settle()
        return left

    def deliver_to(self, place: Place) -> None:
        """Offer what is pending to one subscriber, which may be ahead of the others or be left out of some of it."""
        if place.next < 0:
            return
        if place.subscriber.transport.close_code is not None:
            place.next = self.end  # its end has begun; its session ends the subscription
            return
        publications = [
            publication for publication in self.pending[place.next - self.begin :] if place.concerns(publication)
        ]
        place.next = self.end
        if publications:
            place.subscriber.take(place, publications)

    def statistics(self) -> TopicStatistics:
        """Count what is there. Takes time in proportion to the subscribers."""
        places, counters = self.places.values(), self.counters
        return TopicStatistics(
            subscriptions=len(places),
            behind=sum(place.subscriber.behind for place in places),
            waiting=sum(place.waiting for place in places),
            waiting_bytes=sum(place.waiting_bytes for place in places),
            published=counters.published,
            dropped=counters.dropped,
            dropped_by=counters.dropped_by.copy(),
            conflated=counters.conflated,
            disconnected=counters.disconnected,
        )

    def _begin_sweep(self) -> _Sweep:
        publications = self.pending.copy()
        self._sweep = _Sweep(
            publications,
            list(self.places.values()),
            self.begin,
            self.end,
            # What is more than one write goes out in several, so that a client that falls behind in the middle keeps
            # the rest within its bounds.
            several=sum(publication.size for publication in publications) > WRITE_SIZE,
            # They get less than all of it. The others go on sharing one buffer, which is much cheaper than a write of
            # its own for each.
            left_out={number for publication in publications for number in publication.exclude},
            aimed=any(publication.to is not None for publication in publications),
        )
        return self._sweep

    def _offer(self, sweep: _Sweep, places: list[Place]) -> None:
        begin, end, publications = sweep.begin, sweep.end, sweep.publications
        count = len(publications)
        one_by_one, left_out, joined = sweep.several or sweep.aimed, sweep.left_out, sweep.joined
        delivered = 0
        wire_format = encoded = None
        for place in places:
            subscriber = place.subscriber
            transport = subscriber.transport
            try:
                if (
                    place.next != begin
                    or subscriber.behind
                    or one_by_one
                    or (left_out and subscriber.number in left_out)
                    or transport.close_code is not None
                ):
                    if place.next < end:  # or it was ahead already
                        self.deliver_to(place)
                    continue
                place.next = end
                if place.envelope is not None:
                    taken = transport.offer(sweep.wrapped(place, place.envelope), count)
                else:
                    if transport.wire_format is not wire_format:  # mostly it is that of the one before
                        wire_format = transport.wire_format
                        encoded = joined.get(wire_format)
                        if encoded is None:
                            encoded = joined[wire_format] = join(publications, wire_format)
                    taken = transport.offer(encoded, count)
                if taken:
                    delivered += 1
                else:
                    subscriber.fall_behind(publications)
            except Exception:
                # A bug, and not the publisher's, whose task may be the one that delivers.
                logger.exception("a connection failed inside the hub; it was closed, the others go on")
                subscriber.fail()
        sweep.delivered += delivered


def check_topic(name: object) -> None:
    """Check that this can be the name of a topic.

    Raises:
        TypeError: it is no string, or an empty one.
        ValueError: it is too long, has control characters, or cannot be UTF-8.
    """
    if not isinstance(name, str) or not name:
        raise TypeError(f"a topic is named by a string that is not empty, not {name!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"a topic's name must be UTF-8, which cannot hold lone surrogates: {name[:80]!r}") from None
    if size > LONGEST_NAME:
        raise ValueError(f"a topic's name has at most {LONGEST_NAME} bytes, not {size}: {name[:80]!r}...")
    if not name.isprintable() and any(character < " " or "\x7f" <= character < "\xa0" for character in name):
        raise ValueError(f"a topic's name has no control characters: {name[:80]!r}")
