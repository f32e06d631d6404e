"""Reading a hub: what its topics remember, who is present, and how it goes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import overload

from trio.lowlevel import checkpoint

from .member import Member
from .position import Position, check_position
from .publication import Published
from .registry import Registry
from .statistics import HubStatistics, TopicStatistics


class Reader(ABC):
    """The part of a `Hub` that is asked what there is."""

    _registry: Registry

    @abstractmethod
    def _check(self, topic: str) -> None:
        """Raise unless this is the name of a topic and the hub runs."""

    async def history(self, topic: str, *, since: Position | None = None, limit: int | None = None) -> list[Published]:
        """Return what a topic remembers, the oldest first.

        Args:
            topic: its name.
            since: only what was published after this.
            limit: at most so many: the first ones after ``since``, or, without that, the newest ones.

        Raises:
            LookupError: not all that was published after ``since`` is remembered.
            TypeError: ``since`` is no `Position`.
            WebSocketStateError: the hub does not run.
        """
        await checkpoint()
        self._check(topic)
        subject = self._registry.topics.get(topic)
        if since is not None:
            check_position(since)
            if subject is None or not subject.remembers(since):
                raise LookupError(f"{topic!r} does not remember everything since {since}: load its present state anew")
        return [] if subject is None else subject.read(since, limit)

    async def presence(self, topic: str) -> list[Member]:
        """Return who is present in a topic: one for each identity, in the order in which they came.

        Somebody is present who has subscribed with ``presence=``; after the last connection of it has broken, for
        ``presence_grace`` seconds more; after `unsubscribe`, not at all.

        Raises:
            WebSocketStateError: the hub does not run.
        """
        await checkpoint()
        self._check(topic)
        subject = self._registry.topics.get(topic)
        return [] if subject is None or subject.presence is None else subject.presence.members()

    async def latest(self, topic: str) -> Published | None:
        """Return the newest publication that a topic remembers, or None. Raises `WebSocketStateError` as `history`."""
        newest = await self.history(topic, limit=1)
        return newest[0] if newest else None

    @overload
    def statistics(self) -> HubStatistics: ...

    @overload
    def statistics(self, topic: str) -> TopicStatistics: ...

    def statistics(self, topic: str | None = None) -> HubStatistics | TopicStatistics:
        """Count what is there, in the hub or in one topic. Takes time in proportion to the subscribers."""
        return self._registry.statistics() if topic is None else self._registry.topic_statistics(topic)
