"""The pings that an endpoint has sent on one connection, and the pongs that answer them."""

from __future__ import annotations

import attrs
import trio


@attrs.define(eq=False)
class SentPing:
    """A ping that waits for its pong. ``latency`` is in seconds, None until it has come."""

    payload: bytes
    _sent: float
    latency: float | None = None
    settled: trio.Event = attrs.field(factory=trio.Event)  # the pong has come, or never will

    def answer(self, now: float) -> float:
        self.latency = now - self._sent
        self.settled.set()
        return self.latency


class Pings:
    """Tells which pong answers which ping, by a payload that no other ping of this connection has."""

    __slots__ = ("_number", "_waiting")

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[bytes, SentPing] = {}  # in the order in which they were sent

    def send(self, now: float) -> SentPing:
        """Note a ping that is sent now; its payload is never empty, as that of the keep-alive is."""
        self._number += 1
        ping = SentPing(self._number.to_bytes(8, "big"), now)
        self._waiting[ping.payload] = ping
        return ping

    def answer(self, payload: bytes, now: float) -> float | None:
        """Take in a pong; return the latency it shows, or None if it answers no ping.

        A client that got several pings may answer the last one only (RFC 6455 section 5.5.3), so a pong is the answer
        to everything before its ping as well.
        """
        if payload not in self._waiting:
            return None
        while True:
            ping = self._waiting.pop(next(iter(self._waiting)))
            latency = ping.answer(now)
            if ping.payload == payload:
                return latency

    def forget(self, ping: SentPing) -> None:
        """Nobody waits for this one any more."""
        self._waiting.pop(ping.payload, None)

    def end(self) -> None:
        """No pong comes any more."""
        waiting, self._waiting = self._waiting, {}
        for ping in waiting.values():
            ping.settled.set()
