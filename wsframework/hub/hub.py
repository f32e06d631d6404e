"""The hub: topics and their subscribers in this process.

How a message travels. `broadcast` appends to its topic and wakes the pump. The pump runs a scheduler tick later, joins
what each topic has gathered into one buffer and offers that same buffer to every subscriber: one encoding, one order,
one write per client and tick, and no wait for anybody. What a client does not take goes into its bounded lanes; see
`wsframework.hub.subscriber`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, overload

import trio
from trio.lowlevel import checkpoint

from ..close import CloseCode, check_close
from ..elsewhere import OF_HUBS, CalledOtherwise
from ..encoding import encode_json
from ..errors import SubscriptionRefused, WebSocketStateError
from ..limits import MIB
from ..websocket import WebSocket
from .envelope import Envelope, NoEnvelope
from .from_thread import FromThread
from .history import Histories, History
from .listener import Listener, Publications
from .overflow import Bounds, Overflow
from .position import Gap, OnGap, Position, check_position
from .publication import Published
from .publisher import Publisher
from .reader import Reader
from .registry import Registry
from .subscription import Subscription
from .topic import check_topic

Authorize = Callable[[WebSocket, str], Awaitable[bool]]


class Hub(Publisher, Reader, CalledOtherwise, elsewhere=OF_HUBS):
    """Publishes messages to the WebSockets that have subscribed to a topic.

    Args:
        capacity: messages that may wait for one client.
        max_bytes: bytes that may wait for one client.
        overflow: what happens when more would have to wait.
        block_timeout: seconds that a publisher waits for a client with ``Overflow.BLOCK``; then that client is
            disconnected.
        max_topics: topics that one client may subscribe to. Centrifugo's bound.
        history: what topics remember, for those who were away and for ``latest=``; one for all, or by patterns of
            names, the first that matches: ``{"chat:*": History(size=500), "*": None}``. It lasts while the hub runs.
        presence_grace: seconds after which somebody whose last connection has ended is present no more. AnyCable's 15.
        authorize: an async function that says whether this WebSocket may have this topic. It is asked by
            ``subscribe(..., authorize=True)``.

    The defaults are those of Centrifugo and AnyCable: a client that is a megabyte behind is better off starting anew.
    Delivery is at most once, in order per topic, to whoever was subscribed when it was published.

    A hub delivers while it runs: an `App` runs its own in its lifespan. Alone, use ``async with hub.running():``.
    """

    def __init__(
        self,
        *,
        capacity: int = 256,
        max_bytes: int = 1 * MIB,
        overflow: Overflow = Overflow.DISCONNECT,
        block_timeout: float = 10.0,
        max_topics: int = 128,
        history: History | Mapping[str, History | None] | None = None,
        presence_grace: float = 15.0,
        authorize: Authorize | None = None,
    ) -> None:
        if max_topics < 1 or not block_timeout > 0:
            raise ValueError(f"max_topics={max_topics}, block_timeout={block_timeout}: both must be above zero")
        if not presence_grace >= 0:
            raise ValueError(f"presence_grace={presence_grace} is a number of seconds, perhaps 0")
        self._bounds = Bounds(capacity, max_bytes, overflow)
        self._max_topics = max_topics
        self._authorize = authorize
        self._runs = False
        self._closed = trio.Event()  # unset while `aclose` waits
        self._closed.set()
        super().__init__(Registry(self._bounds, Histories(history), presence_grace), block_timeout)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        """Deliver until the block is left, then deliver what is still pending.

        This waits for no client: one that is behind gets the rest as long as its connection lasts. See `aclose`.
        """
        if self._runs:
            raise ValueError("this hub is running already; one hub belongs to one app")
        # Shielded: whoever says goodbye while we are being cancelled still publishes. Leaving the block ends it.
        pumping = trio.CancelScope(shield=True)
        async with trio.open_nursery() as nursery:
            self._runs = True
            self._from_thread = FromThread(self, trio.lowlevel.current_trio_token())
            nursery.start_soon(self._work, pumping)
            try:
                yield self
            finally:
                self._runs = False
                pumping.cancel()
                self._stop_publishing()
                self._registry.clear()

    async def aclose(self) -> None:
        """Take no more publications, and wait until every client has taken what was published before.

        Then listeners end, and what is remembered is forgotten. Connections stay, and so does whoever runs the hub; it
        can run again after that. In a hook that still publishes, or waits for room with `Overflow.BLOCK`, `broadcast`
        raises ``WebSocketStateError`` from now on, and a client that still subscribes is closed with 1012. When the hub
        does not run this does nothing, and a second call waits as long as the first.

        A client that takes nothing is waited for until its connection ends: on our server, and in the test kit,
        `Limits.write_timeout` sees to that. On another server, put a ``trio.move_on_after`` around this.

        If it is cancelled: there are no more publications all the same, and clients get what waits for them as long as
        their connections last.
        """
        if self._from_thread is None:
            await self._closed.wait()
            return
        self._stop_publishing()  # before the first checkpoint: who is cancelled there has closed it too
        self._closed = closed = trio.Event()
        try:
            await self._registry.wait_taken()
        finally:
            closed.set()
            if self._from_thread is None:  # or else it runs again, and this is not our life of it to end
                self._registry.clear()

    def _stop_publishing(self) -> None:
        """Take no more publications, and deliver those that were taken."""
        self._from_thread = None
        self._registry.wake_publishers()
        self._registry.pump.settle()

    async def _work(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._registry.pump.run)
                nursery.start_soon(self._registry.agenda.run)

    # Subscribing

    async def subscribe(
        self,
        websocket: WebSocket,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        on_gap: OnGap | None = None,
        envelope: Envelope | None = None,
        since: Position | None = None,
        latest: bool = False,
        presence: Any = None,
        presence_events: bool = False,
        identity: str | None = None,
        authorize: bool = False,
    ) -> Subscription:
        """Have this client get everything that is published to ``topic`` from now on.

        It ends with `unsubscribe` or with the connection. Subscribing twice is subscribing once: the second call
        returns the same subscription, as it is, and when the first one is still catching up, both wait for that. To
        change what is said of somebody who is present, assign to `Subscription.presence`.

        Args:
            websocket: the client.
            topic: a name of at most 255 bytes without control characters.
            overflow: a policy for this subscription alone.
            capacity: messages that may wait for this subscription alone.
            max_bytes: bytes likewise.
            on_gap: see `Subscription.on_gap`.
            envelope: what the publications look like on the wire, and gaps without ``on_gap``.
            since: the last publication that the client has. If the hub remembers all that came after it, the client
                gets that first, and the subscription is ``recovered``. Otherwise it gets none of it, and is told of a
                gap without a count.
            latest: have the client begin with the newest publication for it that the hub remembers, or, if there are
                keys, the newest of each. With ``since``: only if nothing can be recovered.
            presence: have this client be present in the topic, with this value, such as a name and a colour; it is sent
                to others as JSON. An empty dict will do. See `presence`.
            presence_events: send this client who is present, and then who comes and goes. See `PresenceEvent`.
            identity: whose connection this is, for ``to=`` and for `disconnect`. It is the connection's, not the
                topic's, so it is enough to say it once. Several connections of one identity are one person.
            authorize: ask the hub's ``authorize`` first, as for every topic that the client itself has named. The name
                may be anything then.

        With ``overflow``, ``capacity`` or ``max_bytes`` the subscription has a queue of its own, beside the one that
        the client's other subscriptions share; what is not given is the hub's.

        Raises:
            WebSocketDisconnect: the client has left already.
            WebSocketStateError: the connection is not accepted yet, or nobody would end the subscription with it (the
                WebSocket was made by hand), or the hub does not run.
            SubscriptionRefused: the client has ``max_topics`` subscriptions already; or, with ``authorize``, it may not
                have this one, or the name cannot be one. If nobody catches it, the client is closed with 1008. After
                `aclose` nobody gets one, and the code is 1012, as of a server that restarts.
            TypeError, ValueError: the name cannot be one, or the client has another identity, or what is said of it
                cannot be JSON, or what is asked for cannot be: to resume in a conflated stream, or the latest of what
                is not remembered; or ``since`` is no `Position`.

        If the client is slow: with ``since`` or ``latest`` this waits until it has taken what it missed.

        If it is cancelled: the client has not subscribed, unless another call for this topic goes on. What it missed
        may have been sent in part.
        """
        if not isinstance(websocket, WebSocket):
            raise TypeError(
                "subscribe takes the WebSocket, of a WebSocketRoute of wsframework or of @app.websocket, and then the "
                f"topic, not {websocket!r}"
            )
        bounds = self._bounds.changed(capacity, max_bytes, overflow)
        if authorize:
            await self._ask(websocket, topic)
        await checkpoint()
        if self._runs and self._from_thread is None:  # a normal phase of stopping, and no mistake of the endpoint's
            raise SubscriptionRefused(CloseCode.SERVICE_RESTART, "the hub is closed")
        self._check(topic)
        check_topic(topic)
        subscriber = self._registry.subscriber(websocket)
        place = subscriber.places.get(topic)
        if place is None and len(subscriber.places) >= self._max_topics:
            raise SubscriptionRefused(
                CloseCode.POLICY_VIOLATION, f"this client has {self._max_topics} subscriptions, which is the limit"
            )
        self._check_beginning(topic, bounds, since, latest)
        if presence is not None:
            encode_json(presence)  # an error has to come before anything has changed
        if identity is not None:
            self._registry.identify(subscriber, identity)
        is_new = place is None
        if place is None:
            place = self._registry.place(subscriber, topic, bounds, on_gap, envelope, since, latest)
        replay = place.topic.joining.get(place)
        if replay is not None:
            await self._registry.catch_up(replay)
        if is_new and place.live:  # or it was ended while it caught up
            if presence_events:
                self._registry.presence(place.topic).watch(subscriber, envelope)
            if presence is not None:
                self._registry.presence(place.topic).join(place, presence)
        return Subscription(place)

    async def unsubscribe(self, websocket: WebSocket, topic: str) -> None:
        """End a subscription. What was published before still arrives. Without a subscription this does nothing."""
        await checkpoint()
        subscriber = self._registry.subscribers.get(websocket.transport)
        place = subscriber.places.get(topic) if subscriber is not None else None
        if place is not None:
            self._registry.end(place)

    @overload
    def listen(
        self,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        since: Position | None = None,
        latest: bool = False,
        gaps: Literal[False] = False,
    ) -> AbstractAsyncContextManager[Publications[Published]]: ...

    @overload
    def listen(
        self,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        since: Position | None = None,
        latest: bool = False,
        gaps: Literal[True],
    ) -> AbstractAsyncContextManager[Publications[Published | Gap]]: ...

    @asynccontextmanager
    async def listen(
        self,
        topic: str,
        *,
        overflow: Overflow | None = None,
        capacity: int | None = None,
        max_bytes: int | None = None,
        since: Position | None = None,
        latest: bool = False,
        gaps: bool = False,
    ) -> AsyncIterator[Publications[Any]]:
        """Take what is published to a topic in a task: ``async with hub.listen("news") as publications:``.

        For everything that is no WebSocket: a task that writes to a database, a stream of server-sent events. It has
        the same bounds and policies as a client; with `Overflow.BLOCK`, publishers wait for it.

        Args:
            topic: its name.
            overflow: a policy, or the hub's.
            capacity: publications that may wait, or the hub's.
            max_bytes: bytes likewise.
            since: begin with what was published after this, as in `subscribe`.
            latest: begin with the newest, as in `subscribe`.
            gaps: have a `Gap` among the publications where some are missing.

        Raises:
            TypeError, ValueError: as `subscribe`.
            WebSocketStateError: the hub does not run.
        """
        bounds = self._bounds.changed(capacity, max_bytes, overflow)
        await checkpoint()
        self._check(topic)
        check_topic(topic)
        self._check_beginning(topic, bounds, since, latest)
        listener = Listener()
        subscriber = self._registry.add(listener)
        try:
            place = self._registry.place(subscriber, topic, bounds, None, NoEnvelope(gaps), since, latest)
            listener.catch_up(place.topic.joining.get(place))
            yield Publications(listener, Subscription(place))
        finally:
            subscriber.leave()

    def disconnect(
        self, *, identity: str, code: int = CloseCode.POLICY_VIOLATION, reason: str = "disconnected by the server"
    ) -> int:
        """Close every connection of this identity. What waits for it is sent before, as far as it is taken.

        Returns:
            how many connections it were. Their sessions end as when the client had left.

        Raises:
            ValueError: the code must not be sent, or the reason has more than 123 bytes.
        """
        check_close(code, reason)
        subscribers = self._registry.connections(identity)
        for subscriber in subscribers:
            subscriber.empty()
            subscriber.transport.cut_off(code, reason)
        return len(subscribers)

    @property
    def overflow(self) -> Overflow:
        """The policy of subscriptions that have none of their own."""
        return self._bounds.overflow

    # Subscribers, inside

    async def _ask(self, websocket: WebSocket, topic: Any) -> None:
        if self._authorize is None:
            raise WebSocketStateError("subscribe(..., authorize=True) asks `Hub(authorize=...)`, which this hub lacks")
        try:
            check_topic(topic)
        except (TypeError, ValueError):
            raise SubscriptionRefused(CloseCode.POLICY_VIOLATION, "that cannot be the name of a topic") from None
        if not await self._authorize(websocket, topic):
            raise SubscriptionRefused(CloseCode.POLICY_VIOLATION, "this client may not have that topic")

    def _check_beginning(self, topic: str, bounds: Bounds, since: Position | None, latest: bool) -> None:
        if since is not None:
            check_position(since)
            if bounds.overflow is Overflow.LATEST:
                raise ValueError("a conflated stream has no places to resume at: use latest=True, and not since=")
        if latest and not self._registry.remembers(topic):
            raise ValueError(f"{topic!r} remembers nothing, so it has no latest: give the hub a history")
