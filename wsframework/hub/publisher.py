"""Publishing: what a message becomes on its way into a hub, and when its publisher has to wait."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any

import trio

from ..encoding import to_message
from ..errors import WebSocketStateError
from ..waking import Burst
from ..websocket import WebSocket
from .from_thread import FromThread
from .place import Place
from .publication import Publication
from .receipt import Receipt
from .registry import Registry
from .topic import Topic, check_topic


class Publisher(Burst):
    """The half of a `Hub` that publishes.

    Args:
        registry: the topics and subscribers.
        block_timeout: seconds that it waits for clients that have subscribed with ``Overflow.BLOCK``.
    """

    # One that never waits must neither starve the program nor outrun the pump, whatever it publishes to.
    _burst_size = 64

    def __init__(self, registry: Registry, block_timeout: float) -> None:
        super().__init__()
        self._registry = registry
        self._block_timeout = block_timeout
        self._from_thread: FromThread | None = None  # while the hub runs

    async def broadcast(
        self,
        topic: str,
        data: Any,
        *,
        exclude: WebSocket | Collection[WebSocket] | None = None,
        to: str | Collection[str] | None = None,
        key: Hashable = None,
    ) -> Receipt:
        """Publish to everybody who has subscribed to ``topic``.

        Args:
            topic: its name.
            data: a string goes out as text, bytes as binary, anything else as JSON text. It is encoded once.
            exclude: a client, or several, that do not get it.
            to: an identity, or several; of the subscribers only their connections get it.
            key: what this is the newest message of. Only `Overflow.LATEST` looks at it.

        Returns:
            A receipt, true at the moment it is read. The call itself waits for no client, unless one has subscribed
            with `Overflow.BLOCK`: it lets other tasks run when much has been published, and is otherwise done at once.

        Raises:
            TypeError: the data cannot be JSON, or the key cannot be hashed.
            UnicodeEncodeError: the text cannot be UTF-8.
            WebSocketStateError: the hub does not run.

        If it is cancelled: the message was not published.
        """
        await self._checkpoint()
        self._check(topic)
        publication = self._make(data, exclude, to, key)
        subject = self._registry.topics.get(topic)
        if subject is not None and subject.turn is not None:
            return await self._publish_when_there_is_room(subject, publication)
        return self._publish(topic, publication)

    def broadcast_nowait(
        self,
        topic: str,
        data: Any,
        *,
        exclude: WebSocket | Collection[WebSocket] | None = None,
        to: str | Collection[str] | None = None,
        key: Hashable = None,
    ) -> Receipt:
        """Publish like `broadcast`, from synchronous code on the Trio thread, to the clients of this process.

        Raises:
            trio.WouldBlock: a client with `Overflow.BLOCK` has no room. The message was not published.
            Otherwise as `broadcast`.
        """
        self._check(topic)
        publication = self._make(data, exclude, to, key)
        if self._full_places(topic, publication):
            raise trio.WouldBlock(f"a client of {topic!r} has no room; `await hub.broadcast(...)` waits for it")
        return self._publish(topic, publication)

    @property
    def from_thread(self) -> FromThread:
        """Publishing from other threads: ``hub.from_thread.broadcast(topic, data)``, with the options of `broadcast`.

        Raises:
            WebSocketStateError: the hub does not run.
        """
        if self._from_thread is None:
            raise _not_running()
        return self._from_thread

    # What is inside of that

    def _make(
        self,
        data: Any,
        exclude: WebSocket | Collection[WebSocket] | None,
        to: str | Collection[str] | None,
        key: Hashable,
    ) -> Publication:
        message = to_message(data)
        publication = Publication(message, Receipt(self._registry.pump.settle))
        publication.is_json = isinstance(message, str) and not isinstance(data, str)
        if exclude is not None:
            publication.exclude = self._registry.numbers(exclude)
        if to is not None:
            publication.to = frozenset((to,) if isinstance(to, str) else to)
        if key is not None:
            publication.key = _hashable(key)
        return publication

    def _publish(self, topic: str, publication: Publication) -> Receipt:
        if topic not in self._registry.topics:
            check_topic(topic)
        return self._registry.publish(topic, publication)

    async def _publish_when_there_is_room(self, subject: Topic, publication: Publication) -> Receipt:
        """Wait for the clients of a topic that some have subscribed to with BLOCK, then publish.

        One publisher at a time has its turn. So what they wait for is not taken away by a later one, and a client that
        takes nothing costs them its time once and not each of them.
        """
        assert subject.turn is not None
        async with subject.turn:
            with trio.move_on_after(self._block_timeout):
                while self._from_thread is not None and (full := self._full_places(subject.name, publication)):
                    await full[0].subscriber.wait_for_room()
            self._check(subject.name)
            for place in self._full_places(subject.name, publication):
                place.subscriber.disconnect(place, publication)
            return self._publish(subject.name, publication)

    def _full_places(self, topic: str, publication: Publication) -> list[Place]:
        """Those who have subscribed with BLOCK and have no room for this."""
        subject = self._registry.topics.get(topic)
        if subject is None or not subject.blocking:
            return []
        self._registry.pump.settle()  # what is pending needs room too
        publication.number(subject.end)  # an envelope has it in it, and so has what is measured here
        return [
            place
            for place in subject.blocking
            if place.concerns(publication) and not place.subscriber.has_room(place, publication)
        ]

    def _check(self, topic: str) -> None:
        if not isinstance(topic, str) or not topic:
            check_topic(topic)
        if self._from_thread is None:
            raise _not_running()


def _hashable(key: Hashable) -> Hashable:
    """Return it; an error has to come here, and not where some client's lane looks for it."""
    try:
        hash(key)
    except TypeError:
        raise TypeError(f"a key is hashable, such as a string, a number or a tuple of them, not {key!r}") from None
    return key


def _not_running() -> WebSocketStateError:
    return WebSocketStateError(
        "the hub does not run: it runs in its app's lifespan, or inside `async with hub.running():`, until it is closed"
    )
