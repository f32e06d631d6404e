"""One client's mailbox: a bounded trio memory channel that fills while the client is behind.

A client that keeps up has nothing in its channel: what is published goes straight to its connection. When the
connection says that the client is behind, publications go into the channel, and leave it as the client takes bytes.
When the channel is full, in messages or in bytes, the overflow policy decides, and only this client meets it.

A direct message of the endpoint must not overtake what was published before, and must not be dropped, so it lines up
beside the channel with the number of the last publication that goes before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import attrs
import trio

from ..close import CloseCode
from ..transport import Ticket, Transport
from .overflow import Overflow
from .publication import Publication, join

# What one client is offered in one write, in bytes: more would go past its bounds if it is about to fall behind.
WRITE_SIZE = 64 * 1024

# Direct messages that may be in line for one client.
_IN_LINE = 64


@attrs.define
class Counters:
    """What a hub counts from its start; its subscribers count into it."""

    published: int = 0
    dropped: int = 0
    disconnected: int = 0


class Source(Protocol):
    """A topic, as one of its subscribers sees it."""

    def catch_up(self) -> None:
        """Offer the subscriber what was published so far."""

    def end(self) -> None:
        """Offer it nothing more."""


class Subscriber:
    """A client of the hub. Implements the transport's `Mailbox`.

    Args:
        transport: the client.
        capacity: messages that may wait for it.
        max_bytes: bytes that may wait for it.
        overflow: what happens when more would have to wait.
        counters: the hub's.
        unsent: holds something while any topic of the hub has publications that were not offered to everybody.
    """

    __slots__ = (
        "_capacity",
        "_counters",
        "_direct",
        "_max_bytes",
        "_overflow",
        "_put",
        "_receive_channel",
        "_send_channel",
        "_taken",
        "_unsent",
        "_waiting_bytes",
        "behind",
        "on_leave",
        "subscriptions",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        capacity: int,
        max_bytes: int,
        overflow: Overflow,
        counters: Counters,
        unsent: Sequence[object],
    ) -> None:
        self.transport: Transport = transport
        self.subscriptions: dict[str, Source] = {}  # by the topic's name
        self.behind: bool = False
        self.on_leave: Callable[[Subscriber], None] = lambda subscriber: None
        self._counters = counters
        self._unsent = unsent
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._overflow = overflow
        # Opened when the client falls behind for the first time: most never do, and a channel is 1.8 KB.
        self._send_channel: trio.MemorySendChannel[Publication] | None = None
        self._receive_channel: trio.MemoryReceiveChannel[Publication] | None = None
        self._waiting_bytes = 0
        self._put = self._taken = 0  # publications that went into the channel, and that left it, one way or the other
        self._direct: deque[tuple[int, Any, Ticket]] = deque()

    # What the hub calls

    def leave(self) -> None:
        """End every subscription: the connection has ended."""
        self.transport.mailbox = None
        self._discard()
        for subscription in self.subscriptions.values():
            subscription.end()
        self.on_leave(self)

    # What topics call

    def take(self, publications: list[Publication]) -> None:
        """Offer these, or keep them while the client is behind."""
        rest = publications
        while rest and not self.behind:
            together, rest = _split(rest)
            if self.transport.offer(join(together, self.transport.wire_format), len(together)):
                for publication in together:
                    publication.receipt.add(delivered=1)
            else:
                self.fall_behind(together)
        for publication in rest:
            self._keep(publication)

    def fall_behind(self, publications: list[Publication]) -> None:
        """The connection took these but not all their bytes have left: what comes next goes into the channel."""
        self.behind = True
        for publication in publications:
            publication.receipt.add(queued=1)

    def fail(self) -> None:
        """The connection raised what it must not: end it."""
        self.leave()
        with suppress(Exception):  # it is broken, so this may be as well
            self.transport.cut_off(CloseCode.INTERNAL_ERROR)

    def _keep(self, publication: Publication) -> None:
        """Put a publication into the channel, or do what the policy says."""
        if self.transport.close_code is not None:
            return
        if self._send_channel is None:
            self._send_channel, self._receive_channel = trio.open_memory_channel[Publication](self._capacity)
        if not self._fits(publication):
            if self._overflow is Overflow.DISCONNECT:
                publication.receipt.add(disconnected=1)
                self._disconnect()
                return
            if self._overflow is Overflow.DROP_OLDEST:
                self._make_room(publication)
        if self._fits(publication):
            self._send_channel.send_nowait(publication)
            self._put += 1
            self._waiting_bytes += publication.size
            publication.receipt.add(queued=1)
        else:
            self._drop(publication)

    def _fits(self, publication: Publication) -> bool:
        return self.waiting < self._capacity and self._waiting_bytes + publication.size <= self._max_bytes

    def _make_room(self, publication: Publication) -> None:
        while self.waiting and not self._fits(publication) and publication.size <= self._max_bytes:
            self._take_out()
            self._drop(publication)

    def _drop(self, publication: Publication) -> None:
        self._counters.dropped += 1
        publication.receipt.add(dropped=1)

    def _disconnect(self) -> None:
        self._counters.disconnected += 1
        self._discard()
        self.transport.cut_off(CloseCode.TRY_AGAIN_LATER, "too slow: the queue of messages for this client was full")

    # What the transport calls

    def catch_up(self) -> bool:
        """Offer what was published so far; False when some of it has to wait."""
        if self._unsent:
            for subscription in self.subscriptions.values():
                subscription.catch_up()
        return not (self.behind and (self.waiting or self._direct))

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
        while self.waiting or self._direct:
            self._offer_next()

    def drained(self) -> None:
        """The client has taken everything: offer what waits, until it falls behind again."""
        while self.waiting or self._direct:
            if not self._offer_next():
                return
        self.behind = False

    def _offer_next(self) -> bool:
        """Offer the next direct message that is due, or else the next publications, joined."""
        if self._direct and self._direct[0][0] <= self._taken:
            _, encoded, ticket = self._direct.popleft()
            ticket.taken = True
            return self.transport.offer(encoded)
        until = self._direct[0][0] if self._direct else self._put
        publications: list[Publication] = []
        size = 0
        while self._taken < until and size < WRITE_SIZE:
            publications.append(self._take_out())
            size += publications[-1].size
        return self.transport.offer(join(publications, self.transport.wire_format), len(publications))

    def _take_out(self) -> Publication:
        assert self._receive_channel is not None
        publication = self._receive_channel.receive_nowait()
        self._waiting_bytes -= publication.size
        self._taken += 1
        return publication

    def _discard(self) -> None:
        """Let go of everything that waits: nobody will take it. The end of the connection tells who sent directly."""
        while self.waiting:
            self._take_out()
        self._direct.clear()

    # What anybody may read

    @property
    def waiting(self) -> int:
        """Publications in the channel."""
        return self._put - self._taken

    @property
    def waiting_bytes(self) -> int:
        """Their size together, as payload bytes."""
        return self._waiting_bytes


def _split(publications: list[Publication]) -> tuple[list[Publication], list[Publication]]:
    """Take as many as make one write, at least one; return them and the rest."""
    size = 0
    for number, publication in enumerate(publications, 1):
        size += publication.size
        if size >= WRITE_SIZE:
            return publications[:number], publications[number:]
    return publications, []
