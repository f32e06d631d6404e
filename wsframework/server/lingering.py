"""The lingering close: a last answer, and then some patience until the client has read it and gone.

To close a socket that has unread bytes sends a reset, which can overtake the answer (RFC 9112 section 9.6). So our
direction is ended, and what still comes is read and thrown away for a while. nginx has the name and does the same.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio

from ..errors import RequestError
from .head.response import encode_refusal
from .streams import end_sending
from .wire import RECEIVE_SIZE, StartableWire


class LingeringClose:
    """Sends a last answer on a wire, and closes it when the client has gone. It needs no task.

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

    def answer(self, error: RequestError) -> None:
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


async def close_lingering(stream: trio.abc.Stream, error: RequestError, patience: float) -> None:
    """Do the same over a stream, for so many seconds at most. Afterwards it is closed, also if this is cancelled."""
    try:
        with trio.move_on_after(patience):
            await stream.send_all(encode_refusal(error))
            if await end_sending(stream):
                while await stream.receive_some(RECEIVE_SIZE):
                    pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)
