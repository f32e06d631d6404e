"""One client's mailbox: lanes of bounded trio memory channels that fill while the client is behind.

A client that keeps up has nothing in its lanes: what is published goes straight to its connection. When the
connection says that the client is behind, publications go into the lanes of their subscriptions, and leave them as the
client takes bytes. When a lane is full, in messages or in bytes, its overflow policy decides, and only this client
meets it.

What waits is numbered over all lanes, and the lowest number leaves first. A direct message of the endpoint must not
overtake what was published before, and must not be dropped, so it lines up beside the lanes with the number of the
first publication that comes after it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import trio

from ..close import CloseCode
from ..messages import Mailbox, Ticket, WireFormat
from .lane import Lane, Slot
from .overflow import Bounds
from .place import Place
from .publication import WRITE_SIZE, Payload, Publication, join, split_write

logger: logging.Logger = logging.getLogger("wsframework.hub")

# Direct messages that may be in line for one client.
_IN_LINE = 64

_numbers = count(1)


class Recipient(Protocol):
    """Takes what is published. See `wsframework.transport.Transport`, which has more than this."""

    wire_format: WireFormat
    close_code: int | None
    mailbox: Mailbox | None

    def offer(self, encoded: Any, messages: int = 1) -> bool: ...

    def cut_off(self, code: int, reason: str = "") -> None: ...


class Subscriber:
    """A client of the hub. Implements the transport's `Mailbox`.

    Args:
        transport: the client.
        bounds: those of the lane that its subscriptions share.
        unsent: holds something while any topic of the hub has publications that were not offered to everybody.

    Attributes:
        number: which no other subscriber has or had.
        identity: whose connection this is, if that was said.
        behind: the connection has not taken all that it was offered.
        places: by the topic's name.
        watching: places among those who are told who is present, likewise.
        missing: places that have missed something that was not told yet; a set that keeps its order.
        room: where publishers wait for a lane with room (BLOCK).
        shared_lane: of its subscriptions that have no bounds and no policy of their own.
    """

    __slots__ = (
        "_direct",
        "_lanes",
        "_put",
        "_unsent",
        "behind",
        "identity",
        "missing",
        "number",
        "on_leave",
        "places",
        "room",
        "shared_lane",
        "transport",
        "watching",
    )

    def __init__(self, transport: Recipient, bounds: Bounds, unsent: Collection[object]) -> None:
        self.transport: Recipient = transport
        self.number: int = next(_numbers)
        self.identity: str | None = None
        self.places: dict[str, Place] = {}
        self.watching: dict[str, Place] = {}
        self.behind: bool = False
        self.missing: dict[Place, None] = {}
        self.room: trio.lowlevel.ParkingLot | None = None
        self.on_leave: Callable[[Subscriber], None] = lambda subscriber: None
        self._unsent = unsent
        self.shared_lane: Lane = Lane(bounds)
        self._lanes: list[Lane] = [self.shared_lane]  # and those others that something waits in
        self._put = 0  # how many went into the lanes
        self._direct: deque[tuple[int, Any, Ticket]] = deque()

    # What the hub calls

    def lane(self, bounds: Bounds) -> Lane:
        """The shared lane if its bounds are meant, or else a new one."""
        return self.shared_lane if bounds is self.shared_lane.bounds else Lane(bounds)

    def leave(self) -> None:
        """End every subscription: the connection has ended. A second time, as after `fail`, this does nothing."""
        if self.transport.mailbox is None:
            return
        self.transport.mailbox = None
        self._discard()
        for place in (*self.watching.values(), *self.places.values()):
            place.end()
        self.on_leave(self)

    def has_room(self, place: Place, publication: Publication) -> bool:
        """Say whether this could be delivered now without going beyond the bounds of its lane."""
        return (
            not self.behind or self.transport.close_code is not None or place.lane.fits(publication.wrapped(place).size)
        )

    @property
    def still_takes(self) -> bool:
        """There is a client that has not taken yet all that it was offered, that waits for it, or that it missed."""
        if self.transport.close_code is not None or self.transport.mailbox is None:
            return False
        return self.behind or any(place.joining for place in self.places.values())

    async def wait_for_room(self) -> None:
        """Wait until something has left a lane."""
        if self.room is None:
            self.room = trio.lowlevel.ParkingLot()
        await self.room.park()

    def made_room(self) -> None:
        """Have those who wait for room look again."""
        if self.room is not None:
            self.room.unpark_all()

    def disconnect(self, place: Place, because: Publication) -> None:
        """Cut off a client for whom this does not fit. What waits is dropped."""
        because.receipt.add(disconnected=1, dropped=1)
        place.topic.counters.count(disconnected=1, dropped_by=place.lane.bounds.overflow)
        for slot in self._discard():
            because.receipt.add(dropped=1)
            slot.place.topic.counters.count(dropped_by=place.lane.bounds.overflow)
        self.transport.cut_off(CloseCode.TRY_AGAIN_LATER, "too slow: the queue of messages for this client was full")

    # What topics call

    def take(self, place: Place, publications: list[Publication]) -> None:
        """Offer these, or keep them while the client is behind."""
        rest = publications
        while rest and not self.behind and self.transport.close_code is None:
            together, rest = split_write(rest)
            payloads = together if place.envelope is None else [each.wrapped(place) for each in together]
            if self.transport.offer(join(payloads, self.transport.wire_format), len(payloads)):
                for publication in together:
                    publication.receipt.add(delivered=1)
            else:
                self.fall_behind(together)
        for publication in rest:
            self._keep(place, publication)

    def fall_behind(self, publications: list[Publication]) -> None:
        """The connection took these but not all their bytes have left: what comes next goes into a lane."""
        if self.transport.close_code is None:  # or else the connection broke over them
            self.behind = True
            for publication in publications:
                publication.receipt.add(queued=1)

    def fail(self) -> None:
        """The connection, or what the program does for it, raised what it must not: end it."""
        self.leave()
        with suppress(Exception):  # it is broken, so this may be as well
            self.transport.cut_off(CloseCode.INTERNAL_ERROR)

    def _keep(self, place: Place, publication: Publication) -> None:
        """Put a publication into its lane, or do what the policy says."""
        if self.transport.close_code is not None:
            return
        lane = place.lane
        unlisted = lane is not self.shared_lane and not lane.waiting
        publication.receipt.saw_behind(self.waiting)
        if lane.keep(Slot(self._put, place, publication, publication.wrapped(place), publication.offset)):
            if unlisted and lane.waiting:
                self._lanes.append(lane)
            self._put += 1
            publication.receipt.saw_behind(self.waiting)
        else:
            self.disconnect(place, publication)

    # What the transport calls

    def catch_up(self) -> bool:
        """Offer what was published so far; False when some of it has to wait."""
        if self._unsent:
            for place in self.places.values():
                place.catch_up()
            for place in self.watching.values():
                place.catch_up()
        return not (self.behind and (self._direct or self.waiting or self._missing_rest()))

    def line_up(self, encoded: Any) -> Ticket | None:
        """Send a direct message behind all publications that wait now, unless too many are in line."""
        if len(self._direct) >= _IN_LINE:
            return None
        ticket = Ticket()
        self._direct.append((self._put, encoded, ticket))
        return ticket

    def empty(self) -> None:
        """Offer all that waits, whether the client keeps up or not."""
        self.catch_up()
        while self._has_more():
            self._offer_next()

    def drained(self) -> None:
        """The client has taken everything: offer what waits, until it falls behind again."""
        while self._has_more():
            if not self._offer_next():
                return
        self.behind = False
        self.made_room()

    def _has_more(self) -> bool:
        return bool(self._direct) or any(lane.waiting for lane in self._lanes) or self._missing_rest()

    def _offer_next(self) -> bool:
        """Offer the next direct message that is due, or else the next publications, joined."""
        if self._direct and self._direct[0][0] <= min(lane.number for lane in self._lanes):
            _, encoded, ticket = self._direct.popleft()
            ticket.taken = True
            return self.transport.offer(encoded)
        try:
            payloads = self._take_out(self._direct[0][0] if self._direct else self._put)
        except Exception:
            logger.exception("an on_gap failed; its connection was closed, the others go on")
            self.fail()
            return False
        self.made_room()
        return not payloads or self.transport.offer(join(payloads, self.transport.wire_format), len(payloads))

    def _take_out(self, until: int) -> list[Payload]:
        """Take what makes one write and has lower numbers than this, with what is to be told of gaps."""
        payloads: list[Payload] = []
        size, shared = 0, self.shared_lane
        while size < WRITE_SIZE:
            lane = self._lanes[0] if len(self._lanes) == 1 else min(self._lanes, key=lambda lane: lane.number)
            if lane.number >= until:
                break
            slot = lane.take_out()
            if lane is not shared and not lane.waiting:
                self._lanes.remove(lane)  # now: an on_gap that publishes may fill it again
            told = slot.place.pass_on(slot)
            if told is not None:
                payloads.append(told)
            payloads.append(slot.payload)
            size += slot.payload.size
        if not self.waiting:
            payloads += self._tell_rest()
        return payloads

    def _tell_rest(self) -> list[Payload]:
        """What is to be told of gaps behind which nothing waits."""
        missing, self.missing = self.missing, {}
        told = [place.tell_gap() for place in missing if place.misses_rest]
        return [payload for payload in told if payload is not None]

    def _missing_rest(self) -> bool:
        return any(place.misses_rest for place in self.missing)

    def _discard(self) -> list[Slot]:
        """Let go of everything that waits: nobody will take it. The end of the connection tells who sent directly."""
        slots = []
        for lane in self._lanes:
            while lane.waiting:
                slots.append(lane.take_out())
        self._lanes = [self.shared_lane]
        self._direct.clear()
        self.missing.clear()
        self.made_room()
        return slots

    # What anybody may read

    @property
    def waiting(self) -> int:
        """Publications in all lanes."""
        return sum(lane.waiting for lane in self._lanes)

    @property
    def waiting_bytes(self) -> int:
        """Their size together, as payload bytes."""
        return sum(lane.waiting_bytes for lane in self._lanes)
