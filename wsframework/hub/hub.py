"""The hub: topics and their subscribers in this process, and the pump that delivers.

How a message travels. `broadcast` appends to its topic and wakes the pump. The pump runs a scheduler tick later, joins
what each topic has gathered into one buffer and offers that same buffer to every subscriber: one encoding, one order,
one write per client and tick, and no wait for anybody. What a client does not take goes into its bounded channel; see
`wsframework.hub.subscriber`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
from trio.lowlevel import ParkingLot, checkpoint, checkpoint_if_cancelled

from ..encoding import to_message
from ..errors import WebSocketStateError
from ..limits import MIB
from ..transport import Transport
from ..websocket import WebSocket
from .overflow import Overflow
from .publication import Publication
from .receipt import Receipt
from .subscriber import Counters, Subscriber
from .topic import Topic

# A publisher that never waits must neither starve the program nor outrun the pump, whatever it publishes to: after this
# many broadcasts the next one lets others run.
_BURST = 64


@attrs.frozen
class HubStatistics:
    """What goes on in a hub. ``published`` to ``disconnected`` count from its start, the others are of this moment."""

    topics: int
    subscribers: int
    subscriptions: int
    behind: int
    waiting: int
    waiting_bytes: int
    published: int
    dropped: int
    disconnected: int


class Hub:
    """Publishes messages to the WebSockets that have subscribed to a topic.

    Args:
        capacity: messages that may wait for one client.
        max_bytes: bytes that may wait for one client.
        overflow: what happens when more would have to wait.

    The defaults are those of Centrifugo and AnyCable: a client that is a megabyte behind is better off starting anew.
    Delivery is at most once, in order per topic, to whoever was subscribed when it was published.

    A hub delivers while it runs: an `App` runs its own in its lifespan. Alone, use ``async with hub.running():``.
    """

    def __init__(
        self, *, capacity: int = 256, max_bytes: int = 1 * MIB, overflow: Overflow = Overflow.DISCONNECT
    ) -> None:
        if capacity < 1 or max_bytes < 1:
            raise ValueError(f"Hub(capacity={capacity}, max_bytes={max_bytes}): both must be at least 1")
        if not isinstance(overflow, Overflow):
            raise TypeError(f"overflow is one of {', '.join(map(str, Overflow))}, not {overflow!r}")
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._overflow = overflow
        self._topics: dict[str, Topic] = {}
        self._subscribers: dict[Transport, Subscriber] = {}
        self._dirty: list[Topic] = []
        self._idle = ParkingLot()
        self._burst = _BURST
        self._running = False
        self._counters = Counters()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        """Deliver until the block is left, then deliver what is still pending."""
        if self._running:
            raise ValueError("this hub is running already; one hub belongs to one app")
        # Shielded: whoever says goodbye while we are being cancelled still publishes. Leaving the block ends it.
        pumping = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            self._running = True
            nursery.start_soon(self._pump, pumping)
            try:
                yield self
            finally:
                self._running = False
                pumping.cancel()
                self._deliver()

    async def subscribe(self, websocket: WebSocket, topic: str) -> None:
        """Have this client get everything that is published to ``topic`` from now on.

        It ends with `unsubscribe` or with the connection. Subscribing twice is subscribing once.

        Raises:
            WebSocketDisconnect: the client has left already.
            WebSocketStateError: the connection is not accepted yet, or nobody would end the subscription with it (the
                WebSocket was made by hand), or the hub does not run.
        """
        await checkpoint()
        self._check(topic)
        transport = websocket.transport
        if transport.close_code is not None:
            raise transport.disconnect()
        if not transport.accepted:
            raise WebSocketStateError("subscribe before accept: call `await websocket.accept()` first")
        if websocket.starter is None:
            raise WebSocketStateError(
                "subscribe needs a WebSocketRoute, @app.websocket or an endpoint, which end it with the connection"
            )
        subscriber = self._subscribers.get(transport)
        if subscriber is None:
            if transport.mailbox is not None:
                raise WebSocketStateError("this client has subscribed to another hub; a client has one")
            subscriber = Subscriber(
                transport, self._capacity, self._max_bytes, self._overflow, self._counters, self._dirty
            )
            subscriber.on_leave = self._forget
            self._subscribers[transport] = transport.mailbox = subscriber
        if topic not in subscriber.subscriptions:
            subject = self._topics.get(topic)
            if subject is None:
                subject = self._topics[topic] = Topic(topic)
            subscriber.subscriptions[topic] = subject.subscribe(subscriber)

    async def unsubscribe(self, websocket: WebSocket, topic: str) -> None:
        """End a subscription. What was published before still arrives. Without a subscription this does nothing."""
        await checkpoint()
        subscriber = self._subscribers.get(websocket.transport)
        subscription = subscriber.subscriptions.pop(topic, None) if subscriber is not None else None
        if subscription is not None:
            subscription.catch_up()
            subscription.end()
            self._forget_if_empty(topic)

    async def broadcast(
        self, topic: str, data: Any, *, exclude: WebSocket | Collection[WebSocket] | None = None
    ) -> Receipt:
        """Publish to everybody who has subscribed to ``topic``.

        Args:
            topic: its name.
            data: a string goes out as text, bytes as binary, anything else as JSON text. It is encoded once.
            exclude: a client, or several, that do not get it.

        Returns:
            A receipt, true at the moment it is read. The call itself waits for no client: it lets other tasks run when
            much has been published, and is otherwise done at once.

        Raises:
            TypeError: the data cannot be JSON.
            UnicodeEncodeError: the text cannot be UTF-8.
            WebSocketStateError: the hub does not run.

        If it is cancelled: the message was not published.
        """
        self._burst -= 1
        if self._burst:
            await checkpoint_if_cancelled()
        else:
            self._burst = _BURST
            await checkpoint()
        return self.broadcast_nowait(topic, data, exclude=exclude)

    def broadcast_nowait(
        self, topic: str, data: Any, *, exclude: WebSocket | Collection[WebSocket] | None = None
    ) -> Receipt:
        """Publish like `broadcast`, from synchronous code on the Trio thread, to the clients of this process."""
        self._check(topic)
        receipt = Receipt(self._deliver)
        publication = Publication(to_message(data), receipt, self._find(exclude))
        subject = self._topics.get(topic)
        if subject is None:
            receipt.settle()
            return receipt
        self._counters.published += 1
        if not subject.pending:
            if not self._dirty:
                self._idle.unpark()
            self._dirty.append(subject)
        subject.pending.append(publication)
        return receipt

    def statistics(self) -> HubStatistics:
        """Count what is there. Takes time in proportion to the subscribers."""
        subscribers = self._subscribers.values()
        return HubStatistics(
            topics=len(self._topics),
            subscribers=len(subscribers),
            subscriptions=sum(len(subscriber.subscriptions) for subscriber in subscribers),
            behind=sum(subscriber.behind for subscriber in subscribers),
            waiting=sum(subscriber.waiting for subscriber in subscribers),
            waiting_bytes=sum(subscriber.waiting_bytes for subscriber in subscribers),
            published=self._counters.published,
            dropped=self._counters.dropped,
            disconnected=self._counters.disconnected,
        )

    async def _pump(self, pumping: trio.CancelScope) -> None:
        with pumping:
            while True:
                while not self._dirty:
                    await self._idle.park()
                self._deliver()
                await checkpoint()

    def _deliver(self) -> None:
        topics = self._dirty.copy()
        self._dirty.clear()  # the same list for good: subscribers look at it
        for topic in topics:
            topic.deliver()

    def _find(self, exclude: WebSocket | Collection[WebSocket] | None) -> Collection[Subscriber]:
        if exclude is None:
            return ()
        websockets = (exclude,) if isinstance(exclude, WebSocket) else exclude
        found = (self._subscribers.get(websocket.transport) for websocket in websockets)
        return {subscriber for subscriber in found if subscriber is not None}

    def _check(self, topic: str) -> None:
        if not isinstance(topic, str) or not topic:
            raise TypeError(f"a topic is named by a string that is not empty, not {topic!r}")
        if not self._running:
            raise WebSocketStateError(
                "the hub does not run: it runs in its app's lifespan, or inside `async with hub.running():`"
            )

    def _forget(self, subscriber: Subscriber) -> None:
        del self._subscribers[subscriber.transport]
        for topic in subscriber.subscriptions:
            self._forget_if_empty(topic)

    def _forget_if_empty(self, topic: str) -> None:
        if not self._topics[topic].subscriptions:
            del self._topics[topic]
