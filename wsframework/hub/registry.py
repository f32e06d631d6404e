"""Who and what a hub knows: topics, subscribers, identities, and when they are forgotten."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from trio.lowlevel import checkpoint

from ..close import CloseCode
from ..errors import WebSocketDisconnect, WebSocketStateError
from ..transport import Transport
from ..websocket import WebSocket
from .agenda import Agenda
from .envelope import Envelope
from .history import Histories
from .listener import Listener
from .overflow import Bounds
from .place import Place
from .position import OnGap, Position
from .presence import Presence
from .publication import Publication
from .pump import Pump
from .receipt import Receipt
from .replay import Replay
from .statistics import Counters, HubStatistics, TopicStatistics
from .subscriber import Recipient, Subscriber
from .topic import Topic


class Registry:
    """The topics and subscribers of one hub.

    A subscriber is there from its first subscription to the end of its connection; a topic for as long as somebody
    subscribes to it or it remembers something.

    Args:
        bounds: of the lane that the subscriptions of one client share.
        histories: what topics remember.
        presence_grace: seconds that those who are present have to come back.
    """

    def __init__(self, bounds: Bounds, histories: Histories, presence_grace: float) -> None:
        self.topics: dict[str, Topic] = {}
        self.subscribers: dict[Recipient, Subscriber] = {}
        self.pump: Pump = Pump()
        self.agenda: Agenda = Agenda()
        self._bounds = bounds
        self._histories = histories
        self._presence_grace = presence_grace
        self._identities: dict[str, dict[Subscriber, None]] = {}
        self._counters = Counters()

    # Subscribers

    def subscriber(self, websocket: WebSocket) -> Subscriber:
        """Find the subscriber that this client is, or make it one.

        Raises:
            WebSocketDisconnect: the client has left.
            WebSocketStateError: it cannot be one, or not yet.
        """
        transport = websocket.transport
        if transport.close_code is not None:
            raise transport.disconnect()
        if not transport.accepted:
            raise WebSocketStateError("subscribe before accept: call `await websocket.accept()` first")
        if websocket.starter is None:
            raise WebSocketStateError(
                "subscribe needs a WebSocketRoute, @app.websocket or an endpoint, which end it with the connection"
            )
        subscriber = self.subscribers.get(transport)
        if subscriber is None:
            if transport.mailbox is not None:
                raise WebSocketStateError("this client has subscribed to another hub; a client has one")
            subscriber = self.add(transport)
        return subscriber

    def add(self, transport: Recipient) -> Subscriber:
        """Make a transport or a listener a subscriber, until it leaves."""
        subscriber = Subscriber(transport, self._bounds, self.pump.dirty)
        subscriber.on_leave = self._forget
        self.subscribers[transport] = transport.mailbox = subscriber
        return subscriber

    def place(
        self,
        subscriber: Subscriber,
        name: str,
        bounds: Bounds,
        on_gap: OnGap | None,
        envelope: Envelope | None,
        since: Position | None,
        latest: bool,
    ) -> Place:
        """Give a subscriber a place in a topic: one that is live, or one that has to catch up first."""
        topic = self.topic(name)
        place = subscriber.places[name] = Place(topic, subscriber, subscriber.lane(bounds), on_gap, envelope)
        if since is None and not latest:
            topic.go_live(place)
        else:
            topic.joining[place] = Replay(place, since, latest)
        return place

    async def catch_up(self, replay: Replay) -> None:
        """Have a client catch up until it is live, or its subscription is ended. Several tasks may do this together.

        Raises:
            WebSocketDisconnect: the client has left.

        If it is cancelled: what was offered so far stays offered. With the last of the tasks, the subscription ends.
        """
        replay.followers += 1
        try:
            await replay.run()
        finally:
            replay.followers -= 1
            if replay.goes_on and not replay.followers:
                self.end(replay.place)

    def end(self, place: Place) -> None:
        """End a subscription. What was published before is still offered."""
        place.catch_up()
        name, subscriber, presence = place.topic.name, place.subscriber, place.topic.presence
        del subscriber.places[name]
        watching = subscriber.watching.pop(name, None)
        if watching is not None:
            watching.end()
        if presence is not None:
            presence.leave(place, at_once=True)
        place.end()
        self.forget_if_unused(place.topic)

    def numbers(self, websockets: WebSocket | Collection[WebSocket]) -> Collection[int]:
        """Return the numbers of those among these who are subscribers."""
        chosen = (websockets,) if isinstance(websockets, WebSocket) else websockets
        found = (self.subscribers.get(websocket.transport) for websocket in chosen)
        return frozenset(subscriber.number for subscriber in found if subscriber is not None)

    def identify(self, subscriber: Subscriber, identity: str) -> None:
        """Note whose connection this is. Raises ``ValueError`` if it is somebody else's."""
        if subscriber.identity not in (None, identity):
            raise ValueError(f"this client is {subscriber.identity!r} already, so it cannot become {identity!r}")
        subscriber.identity = identity
        self._identities.setdefault(identity, {})[subscriber] = None

    def connections(self, identity: str) -> list[Subscriber]:
        """Return the connections of this identity."""
        return list(self._identities.get(identity, ()))

    def _forget(self, subscriber: Subscriber) -> None:
        del self.subscribers[subscriber.transport]
        if subscriber.identity is not None:
            connections = self._identities[subscriber.identity]
            del connections[subscriber]
            if not connections:
                del self._identities[subscriber.identity]
        for place in subscriber.places.values():
            self.forget_if_unused(place.topic)

    # Topics

    def topic(self, name: str) -> Topic:
        """Find a topic, or begin a new life of it."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, self._counters, self._histories.find(name))
        return topic

    def presence(self, topic: Topic) -> Presence:
        """Find out who is present in a topic."""
        if topic.presence is None:
            topic.presence = Presence(
                topic.name,
                self._presence_grace,
                self.agenda,
                self.pump,
                topic.counters,
                on_empty=lambda: self.forget_if_unused(topic),
            )
        return topic.presence

    def remembers(self, name: str) -> bool:
        """Say whether a topic of this name has a memory."""
        return self._histories.find(name) is not None

    def publish(self, name: str, publication: Publication) -> Receipt:
        """Have a publication delivered, and remembered."""
        topic = self.topics.get(name)
        if topic is None and self.remembers(name):
            topic = self.topic(name)
        if topic is None:
            publication.receipt.settle()
        else:
            self.pump.publish(topic, publication)
            if topic.memory is not None and not topic.watched:
                topic.watched = True
                self._watch(topic)
        self._counters.published += 1
        return publication.receipt

    def forget_if_unused(self, topic: Topic) -> None:
        """Forget a topic that nobody needs any more. Forgetting it again does nothing."""
        if self.topics.get(topic.name) is topic and not topic.in_use:
            del self.topics[topic.name]

    def wake_publishers(self) -> None:
        """Have those who wait for room look whether the hub still takes what they publish."""
        for subscriber in self.subscribers.values():
            subscriber.made_room()

    async def wait_taken(self) -> None:
        """Wait for the clients that are behind or catch up. Listeners may take what is there later, too."""
        await checkpoint()
        for subscriber in list(self.subscribers.values()):
            transport = subscriber.transport
            while isinstance(transport, Transport) and subscriber.still_takes:
                with suppress(WebSocketDisconnect):  # its end wakes us as well, and nobody takes anything after that
                    await transport.wait_taken()
                await checkpoint()  # for those who catch up

    def clear(self) -> None:
        """The hub stops: tell listeners, and forget what is remembered. The next run may have another clock."""
        for subscriber in list(self.subscribers.values()):
            if isinstance(subscriber.transport, Listener):
                subscriber.empty()
                subscriber.transport.finish_catching_up()
                subscriber.transport.cut_off(CloseCode.GOING_AWAY)
        self.agenda.close()
        for topic in list(self.topics.values()):
            topic.watched = False
            if topic.presence is not None:
                topic.presence.clear()
            if topic.memory is not None:
                topic.memory.clear()
            self.forget_if_unused(topic)

    def _watch(self, topic: Topic) -> None:
        """See to it that a topic is forgotten when its memory is empty, although nobody leaves it then."""
        if topic.memory:
            self.agenda.at(topic.memory.expiry, lambda: self._watch(topic))
        else:
            topic.watched = False
            self.forget_if_unused(topic)

    # Counting

    def statistics(self) -> HubStatistics:
        """Count what is there."""
        subscribers, counters = self.subscribers.values(), self._counters
        return HubStatistics(
            topics=len(self.topics),
            subscribers=len(subscribers),
            subscriptions=sum(len(subscriber.places) for subscriber in subscribers),
            behind=sum(subscriber.behind for subscriber in subscribers),
            waiting=sum(subscriber.waiting for subscriber in subscribers),
            waiting_bytes=sum(subscriber.waiting_bytes for subscriber in subscribers),
            published=counters.published,
            dropped=counters.dropped,
            dropped_by=counters.dropped_by.copy(),
            conflated=counters.conflated,
            disconnected=counters.disconnected,
        )

    def topic_statistics(self, name: str) -> TopicStatistics:
        """Count what is there in one topic."""
        return (self.topics.get(name) or Topic(name, Counters())).statistics()
