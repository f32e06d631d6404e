"""One topic: what was published and not yet offered, and who subscribes.

How order is kept. A topic numbers its publications, and every subscription knows the number of the next one it is to
be offered. Whoever offers, the pump at the end of the tick or a subscriber that wants to send something of its own
first, offers from that number on. So nobody sees a message twice, a subscriber that joins in the middle of a tick
starts with what is published after it, and all see one order.
"""

from __future__ import annotations

import logging
from typing import Any

from ..transport import WireFormat
from .publication import Publication, join
from .subscriber import WRITE_SIZE, Subscriber

logger: logging.Logger = logging.getLogger("wsframework.hub")


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
        subscription = self.subscriptions[subscriber] = Subscription(self, subscriber)
        return subscription

    def deliver(self) -> None:
        """Offer what is pending to every subscriber, as one joined buffer to all that keep up."""
        begin, end = self._begin, self.end
        publications = self.pending
        # They get less than all of it. The others go on sharing one buffer, which is ten times as fast.
        # And a tick that gathered more than one write goes out in several, so that a client that falls behind in the
        # middle keeps the rest within its bounds.
        several = sum(publication.size for publication in publications) > WRITE_SIZE
        left_out = {subscriber for publication in publications for subscriber in publication.exclude}
        joined: dict[WireFormat, Any] = {}
        count = len(publications)
        delivered = 0
        for subscription in list(self.subscriptions.values()):
            subscriber = subscription.subscriber
            transport = subscriber.transport
            try:
                if (
                    subscription.next != begin
                    or subscriber.behind
                    or several
                    or subscriber in left_out
                    or transport.close_code is not None
                ):
                    self.deliver_to(subscription)
                    continue
                subscription.next = end
                wire_format = transport.wire_format
                encoded = joined.get(wire_format)
                if encoded is None:
                    encoded = joined[wire_format] = join(publications, wire_format)
                if transport.offer(encoded, count):
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
            if subscriber not in publication.exclude
        ]
        subscription.next = self.end
        if publications:
            subscriber.take(publications)


class Subscription:
    """One subscriber's place in one topic: ``next`` is the number of the publication it is to be offered next."""

    __slots__ = ("next", "subscriber", "topic")

    def __init__(self, topic: Topic, subscriber: Subscriber) -> None:
        self.topic: Topic = topic
        self.subscriber: Subscriber = subscriber
        self.next: int = topic.end

    def catch_up(self) -> None:
        """Offer the subscriber what was published so far."""
        if self.topic.pending:
            self.topic.deliver_to(self)

    def end(self) -> None:
        """Get nothing more."""
        self.topic.subscriptions.pop(self.subscriber, None)
