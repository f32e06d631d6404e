"""One topic: what was published and not yet offered, and who subscribes.

How order is kept. A topic numbers its publications, and every subscription knows the number of the next one it is to
be offered. Whoever offers, the pump at the end of the tick or a subscriber that wants to send something of its own
first, offers from that number on. So nobody sees a message twice, a subscriber that joins in the middle of a tick
starts with what is published after it, and all see one order.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from ..transport import Message, WireFormat
from .receipt import Receipt

if TYPE_CHECKING:
    from .subscriber import Subscriber

logger: logging.Logger = logging.getLogger("wsframework.hub")


class Publication:
    """A message on its way to the subscribers of a topic, encoded once per wire format."""

    __slots__ = ("_encoded", "_exclude", "message", "receipt", "size")

    def __init__(self, message: Message, receipt: Receipt, exclude: Collection[Subscriber]) -> None:
        self.message: Message = message
        self.size: int = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        self.receipt: Receipt = receipt
        self._exclude = exclude
        self._encoded: dict[WireFormat, Any] = {}

    def encoded(self, wire_format: WireFormat) -> Any:
        encoded = self._encoded.get(wire_format)
        if encoded is None:
            encoded = self._encoded[wire_format] = wire_format.encode(self.message)
        return encoded

    def is_for(self, subscriber: Subscriber) -> bool:
        return subscriber not in self._exclude

    @property
    def is_for_all(self) -> bool:
        return not self._exclude


class Subscription:
    """One subscriber's place in one topic."""

    __slots__ = ("next", "subscriber")

    def __init__(self, subscriber: Subscriber, next_: int) -> None:
        self.subscriber: Subscriber = subscriber
        self.next: int = next_


class Topic:
    """A name to publish to. Lives as long as somebody subscribes."""

    __slots__ = ("_begin", "name", "pending", "subscriptions")

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.subscriptions: dict[Subscriber, Subscription] = {}
        self.pending: list[Publication] = []
        self._begin = 0  # the number of the first pending publication

    @property
    def end(self) -> int:
        """The number that the next publication will have."""
        return self._begin + len(self.pending)

    def subscribe(self, subscriber: Subscriber) -> Subscription:
        subscription = self.subscriptions[subscriber] = Subscription(subscriber, self.end)
        return subscription

    def deliver(self) -> None:
        """Offer what is pending to every subscriber, as one joined buffer to all that keep up."""
        begin, end = self._begin, self.end
        publications = self.pending
        for_all = all(publication.is_for_all for publication in publications)
        joined: dict[WireFormat, Any] = {}
        delivered = 0
        for subscription in list(self.subscriptions.values()):
            subscriber = subscription.subscriber
            transport = subscriber.transport
            try:
                if subscription.next != begin or not for_all or subscriber.behind or transport.close_code is not None:
                    self.deliver_to(subscription)
                    continue
                subscription.next = end
                wire_format = transport.wire_format
                encoded = joined.get(wire_format)
                if encoded is None:
                    encoded = joined[wire_format] = join(publications, wire_format)
                if transport.offer(encoded):
                    delivered += 1
                else:
                    subscriber.fall_behind(publications)
            except Exception:
                # A bug, and not the publisher's, whose task may be the one that delivers.
                logger.exception("a connection failed inside the hub; it was closed, the others go on")
                subscriber.fail()
        for publication in publications:
            publication.receipt.add(delivered=delivered)
            publication.receipt.settle()
        self._begin = end
        self.pending = []

    def deliver_to(self, subscription: Subscription) -> None:
        """Offer what is pending to one subscriber, which may be ahead of the others or be left out of some of it."""
        subscriber = subscription.subscriber
        if subscriber.transport.close_code is not None:
            subscription.next = self.end  # its end has begun; its session ends the subscription
            return
        publications = [
            publication
            for publication in self.pending[subscription.next - self._begin :]
            if publication.is_for(subscriber)
        ]
        subscription.next = self.end
        if publications:
            subscriber.take(publications)


def join(publications: list[Publication], wire_format: WireFormat) -> Any:
    """Put publications into one buffer of this format."""
    if len(publications) == 1:
        return publications[0].encoded(wire_format)
    return wire_format.join([publication.encoded(wire_format) for publication in publications])
