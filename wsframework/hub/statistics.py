"""What a hub and its topics count."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .overflow import Overflow


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
    dropped_by: Mapping[Overflow, int]
    conflated: int
    disconnected: int


@attrs.frozen
class TopicStatistics:
    """What goes on in a topic. ``published`` to ``disconnected`` count for as long as the topic lives."""

    subscriptions: int
    behind: int
    waiting: int
    waiting_bytes: int
    published: int
    dropped: int
    dropped_by: Mapping[Overflow, int]
    conflated: int
    disconnected: int


class Counters:
    """What a topic counts, and, through ``whole``, its hub."""

    __slots__ = ("conflated", "disconnected", "dropped_by", "published", "whole")

    def __init__(self, whole: Counters | None = None) -> None:
        self.whole: Counters | None = whole
        self.published: int = 0
        self.conflated: int = 0
        self.disconnected: int = 0
        self.dropped_by: dict[Overflow, int] = {}

    def count(self, *, dropped_by: Overflow | None = None, conflated: int = 0, disconnected: int = 0) -> None:
        """Count what a policy did to one message or one client."""
        if dropped_by is not None:
            self.dropped_by[dropped_by] = self.dropped_by.get(dropped_by, 0) + 1
        self.conflated += conflated
        self.disconnected += disconnected
        if self.whole is not None:
            self.whole.count(dropped_by=dropped_by, conflated=conflated, disconnected=disconnected)

    @property
    def dropped(self) -> int:
        """Messages that were dropped, by any policy."""
        return sum(self.dropped_by.values())
