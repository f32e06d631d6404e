"""The ping clock of one connection: when to ask a silent client whether it is still there, and when to stop asking."""

from __future__ import annotations

from enum import Enum
from math import inf

from ..limits import Limits


class Silence(Enum):
    """What to do about it."""

    NONE = "nothing"
    PING = "send a ping"
    TOO_LONG = "cut the client off"


class KeepAlive:
    """Anything that a client sends proves that it is there, so only a silent one is pinged (RFC 6455 section 5.5.2).

    Attributes:
        heard: set whenever bytes come, or leave towards the client in earnest.
        latency: seconds between the last ping that was answered and its pong, None before there was one.
        next_look: when `look` wants to be called again.
    """

    __slots__ = ("_interval", "_pinged", "_since", "_timeout", "heard", "latency", "next_look")

    def __init__(self, limits: Limits) -> None:
        self.heard: bool = False
        self.latency: float | None = None
        self.next_look: float = inf
        self._interval = limits.ping_interval
        self._timeout = limits.ping_timeout
        self._since = 0.0  # the client has been silent since then, or since our ping
        self._pinged = False

    def start(self, now: float) -> None:
        """Begin to listen."""
        if self._interval is not None:
            self._since = now
            self.next_look = now + self._interval

    def answered(self, now: float) -> None:
        """The client has sent a pong like those that answer our pings."""
        if self._pinged:
            self.latency = now - self._since

    def look(self, now: float, held: bool) -> Silence:
        """Say what the silence since the last look asks for; ``held``: we do not read, so we cannot have heard."""
        if self._interval is None:
            return Silence.NONE
        if self.heard or held:
            self.heard = self._pinged = False
            self.start(now)
            return Silence.NONE
        patience = self._since + (self._timeout if self._pinged else self._interval)
        if now < patience:
            self.next_look = patience
            return Silence.NONE
        if self._pinged:
            return Silence.TOO_LONG
        self._pinged = True
        self._since = now
        self.next_look = now + self._timeout
        return Silence.PING
