"""What a socket is before it is a WebSocket: somebody whose request head is still coming, or who is refused.

Neither needs a task. A client that dribbles its head, or that does not go away when it was refused, costs a socket and
a few hundred bytes until the sweeper closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from ..errors import RequestError
from ..limits import Limits
from .admission import Visit
from .arrival import Arrival, HeadReader
from .handshake import encode_refusal
from .wire import StartableWire

OnArrival = Callable[[StartableWire, Visit, Arrival], None]
OnRefusal = Callable[[StartableWire, Visit, RequestError], None]


class Arriving:
    """Receives until the request head is whole, and then hands the wire on.

    Args:
        wire: carries the bytes.
        visit: is told if the client leaves before.
        limits: its bounds.
        on_arrival: called when the head is whole; the wire is the callee's from then on.
        on_refusal: called, likewise, when it cannot be served or does not come in time.
        first: nothing was served on this connection before.
    """

    __slots__ = ("_on_arrival", "_on_refusal", "_reader", "_visit", "_wire", "next_sweep")

    def __init__(
        self,
        wire: StartableWire,
        visit: Visit,
        limits: Limits,
        on_arrival: OnArrival,
        on_refusal: OnRefusal,
        *,
        first: bool = True,
    ) -> None:
        self._wire = wire
        self._visit = visit
        self._reader: HeadReader | None = HeadReader(limits, first=first)
        self._on_arrival = on_arrival
        self._on_refusal = on_refusal
        self.next_sweep: float = inf

    def received(self, data: bytes) -> None:
        if self._reader is None:
            return
        if not data:
            self.abandon()
            return
        try:
            arrival = self._reader.feed(data)
        except RequestError as error:
            self._refuse(error)
            return
        if arrival is not None:
            self._reader = None
            self._on_arrival(self._wire, self._visit, arrival)

    def _refuse(self, error: RequestError) -> None:
        self._reader = None
        self._on_refusal(self._wire, self._visit, error)

    def sweep(self, now: float) -> float:
        """The time for the request head is over."""
        if self._reader is not None:
            late = self._reader.give_up()
            if late is None:
                self.abandon()
            else:
                self._refuse(late)
        return inf

    def abandon(self) -> None:
        """Let go of the socket; nothing that could be answered has come."""
        self._reader = None
        self._visit.lost()
        self._wire.close()
        self._visit.leave()

    def hung_up(self) -> None:
        """Cannot be: this never holds its wire."""

    def writable(self) -> None:
        """Cannot be: this never writes."""

    def flush(self) -> None:
        """Nothing is ever gathered."""


class Refusal:
    """Says no, and then waits a while for the client to go.

    To close a socket that has unread bytes would send a reset, which can overtake the answer; so what still comes is
    read and thrown away.

    Args:
        wire: carries the answer.
        on_gone: called once, when the socket is let go.
    """

    __slots__ = ("_gone", "_on_gone", "_rest", "_wire", "next_sweep")

    def __init__(self, wire: StartableWire, on_gone: Callable[[], None]) -> None:
        self._wire = wire
        self._on_gone = on_gone
        self._gone = False
        self._rest: bytes | memoryview = b""  # that the wire has not taken yet
        self.next_sweep: float = inf

    def say(self, error: RequestError) -> None:
        """Send the answer, and then end our direction."""
        self._rest = encode_refusal(error)
        self._wire.start(self)
        self.writable()

    def received(self, data: bytes) -> None:
        if not data:
            self.abandon()

    def sweep(self, now: float) -> float:
        """The client has had its time to read the answer."""
        self.abandon()
        return inf

    def abandon(self) -> None:
        """Let go of the socket."""
        if not self._gone:
            self._gone = True
            self._wire.close()
            self._on_gone()

    def hung_up(self) -> None:
        """Cannot be: this never holds its wire."""

    def writable(self) -> None:
        """Send on. It is short, but on a kept connection answers from before may be in its way."""
        if self._gone or not self._rest:
            return
        try:
            self._rest = memoryview(self._rest)[self._wire.send(self._rest) :]
        except OSError:
            self.abandon()
            return
        if self._rest:
            self._wire.ask_to_write()
        else:
            self._wire.shut_down()

    def flush(self) -> None:
        """Nothing is ever gathered."""
