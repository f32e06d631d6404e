"""What a publisher learns about its message."""

from __future__ import annotations

from collections.abc import Callable


class Receipt:
    """How many subscribers got one message, and how.

    A broadcast only queues; the hub delivers a scheduler tick later, joined with whatever else was published. Reading
    any number of the receipt earlier than that delivers at once, so the numbers are always true and cost nothing to
    those who do not read them.
    """

    __slots__ = ("_conflated", "_deliver", "_delivered", "_disconnected", "_dropped", "_furthest_behind", "_queued")

    def __init__(self, deliver: Callable[[], None]) -> None:
        self._deliver: Callable[[], None] | None = deliver
        self._delivered = self._queued = self._dropped = self._conflated = self._disconnected = 0
        self._furthest_behind = 0

    # The hub's side

    def add(
        self, *, delivered: int = 0, queued: int = 0, dropped: int = 0, conflated: int = 0, disconnected: int = 0
    ) -> None:
        """Count what became of the message at some subscribers."""
        self._delivered += delivered
        self._queued += queued
        self._dropped += dropped
        self._conflated += conflated
        self._disconnected += disconnected

    def saw_behind(self, waiting: int) -> None:
        """A subscriber has so many publications waiting."""
        if waiting > self._furthest_behind:
            self._furthest_behind = waiting

    def settle(self) -> None:
        """Nothing more is to come."""
        self._deliver = None

    # The publisher's side

    @property
    def delivered(self) -> int:
        """Subscribers whose connection took the message at once."""
        return self._settled()._delivered

    @property
    def queued(self) -> int:
        """Subscribers that are behind and for whom it waits."""
        return self._settled()._queued

    @property
    def dropped(self) -> int:
        """Messages that were dropped for it: itself, older ones to make room, or all that a disconnect discarded."""
        return self._settled()._dropped

    @property
    def conflated(self) -> int:
        """Older messages of the same key whose place it took (LATEST)."""
        return self._settled()._conflated

    @property
    def disconnected(self) -> int:
        """Subscribers that were disconnected because it did not fit (DISCONNECT, or BLOCK after its time)."""
        return self._settled()._disconnected

    @property
    def furthest_behind(self) -> int:
        """Publications that wait for the subscriber for whom most do; 0 when everybody keeps up."""
        return self._settled()._furthest_behind

    def _settled(self) -> Receipt:
        if self._deliver is not None:
            self._deliver()
        return self

    def __repr__(self) -> str:
        return (
            f"Receipt(delivered={self.delivered}, queued={self.queued}, dropped={self.dropped}, "
            f"conflated={self.conflated}, disconnected={self.disconnected}, furthest_behind={self.furthest_behind})"
        )
