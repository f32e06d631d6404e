"""How fast one client may send: a token bucket for its messages and one for its bytes, without I/O.

A bucket fills at the rate that the limits allow, up to one second's worth, which is the burst that is always fine. A
client that takes more is in debt, and is not read from until that is paid: its own sends then wait, as TCP has it, and
a client that is only lively notices nothing else. One that goes on and on is told so: it is closed when it is in debt
``throttle_timeout`` after it first was, without having had a breather in between.

A breather is a moment at which half of each bucket is full. Who sends as fast as it is read never gets there, since its
next bytes are waiting already; who is under its rate does in time, and is not in debt again before.
"""

from __future__ import annotations

from enum import Enum
from math import inf

from ..limits import Limits

_BREATHER = 0.5  # seconds' worth in each bucket


def longest_message(limits: Limits) -> float:
    """Return the bytes that one message may have on the wire and still arrive before its client is closed.

    They are what may come at once, and what is paid off within the patience.
    """
    return (limits.bytes_per_second or inf) * (1 + limits.throttle_timeout)


class Debt(Enum):
    """What has become of it."""

    PAID = "read on"
    OPEN = "wait"
    TOO_LONG = "close the connection"


class Throttle:
    """The account of one client.

    Attributes:
        next_look: when `look` wants to be called, while there is debt.
    """

    __slots__ = ("_at", "_byte_rate", "_bytes", "_message_rate", "_messages", "_patience", "_since", "next_look")

    def __init__(self, messages_per_second: float, bytes_per_second: float, patience: float, now: float) -> None:
        self.next_look: float = inf
        self._message_rate = messages_per_second
        self._byte_rate = bytes_per_second
        self._patience = patience
        # In both buckets, as seconds of their rate.
        self._messages = self._bytes = 1.0
        self._at = now
        self._since = inf  # the first debt since the last breather

    @classmethod
    def of(cls, limits: Limits, now: float) -> Throttle | None:
        """Make one if the limits ask for it."""
        if limits.messages_per_second is None and limits.bytes_per_second is None:
            return None
        return cls(limits.messages_per_second or inf, limits.bytes_per_second or inf, limits.throttle_timeout, now)

    def spend(self, messages: int, size: int, now: float) -> bool:
        """Take this out of the buckets; True when the client is in debt now."""
        self._fill(now)
        if self._credit >= _BREATHER:
            self._since = inf
        self._messages -= messages / self._message_rate
        self._bytes -= size / self._byte_rate
        if self._credit >= 0:
            return False
        self._since = min(self._since, now)
        self._plan()
        return True

    def look(self, now: float) -> Debt:
        """Say what has become of the debt."""
        self._fill(now)
        # Time is in floating point: who is due at this moment has paid.
        if self._credit >= -1e-9:
            self.next_look = inf
            return Debt.PAID
        if now >= self._since + self._patience:
            return Debt.TOO_LONG
        self._plan()
        return Debt.OPEN

    @property
    def _credit(self) -> float:
        return min(self._messages, self._bytes)

    def _fill(self, now: float) -> None:
        passed = now - self._at
        self._at = now
        self._messages = min(1.0, self._messages + passed)
        self._bytes = min(1.0, self._bytes + passed)

    def _plan(self) -> None:
        self.next_look = min(self._at - self._credit, self._since + self._patience)
