"""How the bytes of a connection leave: in order, gathered where that saves writes, and before a deadline.

Bytes go straight to the wire. What the wire does not take waits in an outbox, and leaves when the wire is writable
again. Replies may be gathered first, and are written joined by `Sender.flush`. So there are never more than three
places, and bytes pass them in this order: gathered, outbox, wire. Nothing that has entered is dropped or overtaken,
unless the connection is lost.
"""

from __future__ import annotations

from abc import abstractmethod
from math import inf

import trio

from ..limits import Limits
from ..transport import Transport
from .frames import Opcode, encode_frame
from .keepalive import KeepAlive
from .outbox import Outbox
from .upkeep import Upkeep
from .wire import Wire


class Sender(Transport):
    """The part of a connection that writes. Implements what the upkeep flushes.

    Attributes:
        bytes_out: what the wire has taken.
        next_sweep: when the upkeep looks at the connection's clocks.
    """

    __slots__ = ("_gathered", "_keepalive", "_limits", "_outbox", "_upkeep", "_wire", "bytes_out", "next_sweep")

    def __init__(self, wire: Wire, limits: Limits, upkeep: Upkeep) -> None:
        super().__init__()
        self._wire = wire
        self._limits = limits
        self._upkeep = upkeep
        self._keepalive = KeepAlive(limits)
        self._gathered: list[bytes] = []  # replies that are about to leave
        self._outbox: Outbox | None = None
        self.bytes_out: int = 0
        self.next_sweep: float = inf

    @property
    def behind(self) -> bool:
        return self._outbox is not None

    @property
    def crowded(self) -> bool:
        return self._outbox is not None and self._outbox.crowded

    @abstractmethod
    def sweep(self, now: float) -> float:
        """Look at every clock of this connection; return when to look again."""

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the socket at once, for a reason that is not the client's."""

    @abstractmethod
    def _left(self, reason: str) -> None:
        """The client is gone, and the socket is of no use when what came from it has been read."""

    def flush(self) -> None:
        """Write the replies that have gathered, joined."""
        gathered = self._gathered
        if gathered:
            data = gathered[0] if len(gathered) == 1 else b"".join(gathered)
            gathered.clear()
            self._write(data)

    def _write(self, data: bytes) -> bool:
        """Hand over bytes, behind all that waits; say whether the wire has taken them."""
        if self._outbox is None and not self.gone:
            try:
                sent = self._wire.send(data)
            except OSError:
                self._left("the client is gone")
                return False
            self.bytes_out += sent
            if sent == len(data):
                return True
            now = trio.current_time()
            self._outbox = Outbox(memoryview(data)[sent:], now)
            self._wire.ask_to_write()
            self._upkeep.watch(self, now + self._limits.write_timeout)
        elif self._outbox is not None and not self.gone:
            self._outbox.add(data)
        return False

    def _drain(self) -> bool:
        """Send on what waits; say whether nothing does any more."""
        outbox = self._outbox
        if outbox is not None:
            if not self._send_on(outbox):
                return False
            self._outbox = None
            if outbox.late_pong is not None and not self._mute:
                self._write(encode_frame(Opcode.PONG, outbox.late_pong))
        self.flush()
        return self._outbox is None and not self.gone

    def _send_on(self, outbox: Outbox) -> bool:
        try:
            sent = outbox.send(self._wire)
        except OSError:
            self._left("the client is gone")
            return False
        self.bytes_out += sent
        if outbox.progressed(sent, trio.current_time()):
            self._keepalive.heard = True  # a client that takes bytes is alive, though our ping may be behind them
        if not outbox.empty:
            self._wire.ask_to_write()
        return outbox.empty

    def _drop_all(self) -> None:
        """There is nobody to send to any more."""
        self._outbox = None
        self._gathered.clear()

    @property
    def _patience(self) -> float:
        """When what waits must have got further."""
        return inf if self._outbox is None else self._outbox.stalled_since + self._limits.write_timeout
