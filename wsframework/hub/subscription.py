"""What `Hub.subscribe` returns."""

from __future__ import annotations

from typing import Any

import attrs

from .place import Place
from .position import OnGap, Position


@attrs.frozen
class Lag:
    """How far a subscription is behind: what waits for the client to take it."""

    publications: int
    bytes: int


@attrs.define(unsafe_hash=True, repr=False)
class Subscription:
    """A client's subscription to a topic. It ends with `Hub.unsubscribe` or with the connection."""

    _place: Place

    @property
    def topic(self) -> str:
        """The topic's name."""
        return self._place.topic.name

    @property
    def lag(self) -> Lag:
        """What waits for the client; nothing while it keeps up."""
        self._place.catch_up()
        return Lag(self._place.waiting, self._place.waiting_bytes)

    @property
    def position(self) -> Position:
        """Everything up to here was handed to the connection, or was missed and told to ``on_gap``."""
        self._place.catch_up()
        return self._place.position

    @property
    def recovered(self) -> bool:
        """It was made with ``since``, and the client gets everything that was published after that.

        If it is False, load the present state anew: what was missed cannot be had. If a position was given, a gap has
        been told too, without a count if nobody knows it.
        """
        return self._place.recovered

    @property
    def on_gap(self) -> OnGap | None:
        """Called, without waiting, with each `Gap`, at the place in the client's stream where something is missing.

        What it returns, unless that is None, is sent to the client there. Assign to it to change it.
        """
        return self._place.on_gap

    @on_gap.setter
    def on_gap(self, on_gap: OnGap | None) -> None:
        self._place.on_gap = on_gap

    @property
    def presence(self) -> Any:
        """What is said of this client's person to others; None: it is not present. Assign to it to change it.

        Raises:
            ValueError: assigned to, and the subscription was not made with ``presence=`` or has ended.
        """
        return None if self._place.topic.presence is None else self._place.topic.presence.said_of(self._place)

    @presence.setter
    def presence(self, data: Any) -> None:
        present = self._place.topic.presence
        if present is None or present.said_of(self._place) is None:
            raise ValueError(f"this client is not present in {self.topic!r}: subscribe it with `presence=...`")
        if data is None:
            present.leave(self._place, at_once=True)
        else:
            present.join(self._place, data)

    def __repr__(self) -> str:
        lag = self.lag
        return f"<Subscription to {self.topic!r}, {lag.publications} publications behind>"
