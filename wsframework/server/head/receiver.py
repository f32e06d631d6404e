"""What receives on a wire until a request head is whole, without a task.

A client that dribbles its head costs a socket and a few hundred bytes until the sweeper closes it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from ...errors import RequestError
from ...limits import Limits
from ..admission import Visit
from ..wire import StartableWire
from .reader import Arrival, HeadReader

OnArrival = Callable[[StartableWire, Visit, Arrival], None]
OnRefusal = Callable[[StartableWire, Visit, RequestError], None]


class HeadReceiver:
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
