"""How a connection ends: refused before it was accepted, closed by either side, lost, or too slow for a deadline.

The client's close frame is answered at once when nothing that it sent before is waiting (RFC 6455 section 7). Otherwise
those messages are handled first, replies to them still go out, and the answer follows, also to a client that has ended
its side of the wire behind its close frame: it may still read. After our last byte the sending direction is shut down,
and what still comes in is thrown away until the client closes too: closing a socket that has unread bytes would send a
reset, and the reset can overtake our close frame.

The words for that: we are *mute* when our last byte is sent or queued; the client is *finished* when nothing more is
expected of it, only that it goes; the connection is *gone* when the socket is let go. A client that is finished while
we are not mute is waiting for our answer.

One deadline, swept: a connection has one next time at which the sweeper looks at all of its clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..close import REFUSED, CloseCode
from ..errors import RequestError, WebSocketStateError
from ..limits import Limits
from ..transport import RawHeaders
from .denial import Denial
from .frames import Opcode, encode_close, encode_frame
from .head.handshake import Handshake
from .head.response import encode_refusal
from .intake import Intake
from .keepalive import Silence
from .upkeep import Upkeep
from .wire import Wire

# Seconds for the client to hang up when both sides have said goodbye: what it waits for is only the end of our side,
# which is on its way. Chromium does so at once; one that does not would keep a server that stops waiting.
_LINGER = 1.0


class Ending(Intake):
    """The part of a connection that ends it, and that watches its deadlines. Implements what the upkeep sweeps.

    Args:
        handshake: the upgrade request, checked, not answered.
        on_gone: called once, when the socket is let go.

    Attributes:
        status: of our answer to the handshake, 0 while there is none.
    """

    __slots__ = (
        "_client_finished",
        "_close_by",
        "_denial",
        "_handshake",
        "_on_gone",
        "_said_goodbye",
        "status",
    )

    def __init__(
        self,
        wire: Wire,
        handshake: Handshake,
        limits: Limits,
        upkeep: Upkeep,
        early: bytes,
        on_gone: Callable[[Any], None],
    ) -> None:
        super().__init__(wire, limits, upkeep, early)
        self._handshake: Handshake | None = handshake  # until it is answered
        self._on_gone = on_gone
        self._denial: Denial | None = None  # a refusal with a body of its own has begun
        self._client_finished = False
        self._said_goodbye = False  # with a close frame
        self._close_by = inf
        self.status: int = 0

    # By the client

    def _client_ends(self, code: int, reason: str) -> None:
        """The client has said its last. Answer, but not before what it said earlier has been handled."""
        self._client_finished = True
        if self._mute:
            self._shut_down()
            return
        self._begin_end(code, reason)  # first, because the answer may find nobody, and that is not how it ended
        if not self._inbox:
            self._finish_end()

    def _hear_end(self, reason: str) -> None:
        """A client may end its side right behind its close frame, and still read what we have to say to that."""
        if not self._said_goodbye or self._mute or self._outbox is not None:
            super()._hear_end(reason)
            return
        self._hold()  # or the wire would tell the end again and again
        self._close_by = min(self._close_by, trio.current_time() + self._limits.close_timeout)
        self._upkeep.watch(self, self._close_by)

    def writable(self) -> None:
        """The wire has room: send on from the outbox, then let everybody know who waits for that."""
        if not self._drain():
            return
        if self._mute:
            self._close_by = trio.current_time() + self._limits.close_timeout  # our last words have left only now
            if self._client_finished:
                self._shut_down()
        if self.mailbox is not None and not self._mute:
            self.mailbox.drained()
        self._wake_senders()

    def abandon(self) -> None:
        """Let go of the socket at once, for a reason that is not the client's."""
        self._lose("the server let go of the connection")

    # By us

    async def start_response(self, status: int, headers: RawHeaders) -> None:
        await checkpoint_if_cancelled()
        if self._mute and not self.accepted:
            await checkpoint()
            raise self.disconnect()
        if self.accepted or self._denial is not None:
            raise WebSocketStateError("a handshake is refused once, and before it is accepted")
        version = None if self._handshake is None else self._handshake.request.http_version
        self._denial = Denial(status, headers, version)
        self._handshake = None
        self.status = status
        self._write(self._denial.head)

    async def send_body(self, body: bytes, more: bool) -> None:
        if self._denial is None:
            raise WebSocketStateError("a response body needs a response: send websocket.http.response.start first")
        await self._checkpoint()
        if self._mute:
            raise self.disconnect()
        if body:
            self._write(self._denial.encode(body))
        if not more:
            self._refused(self._denial.end, CloseCode.ABNORMAL_CLOSURE, REFUSED)
        elif self._outbox is not None:
            await self._wait_until_taken()

    def refuse(self, error: RequestError, code: int = CloseCode.ABNORMAL_CLOSURE, reason: str = REFUSED) -> None:
        """Answer the handshake with an error, unless it has been answered. The code and reason stay on our side."""
        if not self.accepted and not self._mute:
            self.status = self.status or error.status
            self._refused(b"" if self._denial is not None else encode_refusal(error), code, reason)

    def _refused(self, data: bytes, code: int, reason: str) -> None:
        self._client_finished = True
        self._handshake = None
        self._say_last(data)
        self._begin_end(code, reason, by_us=True)

    def finish(self, code: int, reason: str = "") -> None:
        """The application is done with this connection. Close what it left open, answer what it left unanswered."""
        self._inbox.clear()
        self._close(code, reason, by_us=True)
        self._read_on()

    def _close(self, code: int, reason: str, *, by_us: bool) -> None:
        if self.close_code is not None:
            self._finish_end()
        elif self._hung_up:
            self._lose("the client left while messages of its own were waiting")
        elif self.accepted:
            self._say_last(encode_close(code, reason))
            self._begin_end(code, reason, by_us=by_us)
        elif code == CloseCode.INTERNAL_ERROR:
            self.refuse(RequestError(500, "The server failed to handle the request."), code, reason)
        elif code == CloseCode.GOING_AWAY:
            self.refuse(RequestError(503, "The server is stopping.", ((b"Retry-After", b"1"),)), code, reason)
        else:
            self.refuse(RequestError(403, "The handshake was refused."), code, reason)

    def _finish_end(self) -> None:
        if self._client_finished and not self._mute and self.close_code is not None:
            self._say_last(encode_close(self.close_code, self.close_reason))
            self._wake_senders()  # what has lined up cannot follow our close frame

    def _say_last(self, data: bytes) -> None:
        """Send our last bytes; the client then has a while to end the connection."""
        self._gathered.append(data)
        self.flush()
        self._mute = True
        self._in_debt = False  # what it still sends costs nothing: it is thrown away
        self._close_by = trio.current_time() + self._limits.close_timeout
        self._upkeep.watch(self, self._close_by)
        if self._client_finished:
            self._shut_down()
        self._read_on()

    def _shut_down(self) -> None:
        """Both sides have said their last: end our direction, now or when the outbox is empty."""
        if self._outbox is None and not self.gone:
            if self._said_goodbye:
                self._close_by = min(self._close_by, trio.current_time() + _LINGER)
                self._upkeep.watch(self, self._close_by)
            self._wire.shut_down()

    def _lose(self, reason: str) -> None:
        """The socket is let go; whatever was still to be sent is gone with it."""
        if self.gone:
            return
        self.gone = self._mute = True
        self._handshake = None
        self._stop_reading()
        self._drop_all()
        self._wire.close()
        self._begin_end(CloseCode.ABNORMAL_CLOSURE, reason)
        self._wake_senders()
        self._on_gone(self)

    # Deadlines

    def sweep(self, now: float) -> float:
        """Look at every clock of this connection; return when to look again."""
        if self.gone:
            return inf
        end_by = self._end_by
        if now >= end_by:
            self._lose("the client did not end the connection in time")
            return inf
        if self._mute:
            return end_by
        patience = self._patience
        if now >= patience:
            self._lose(f"the client took too little in {self._limits.write_timeout:g} s")
            return inf
        again = min(patience, end_by, self._keep_alive(now))
        if self._throttle is not None and self._in_debt:
            self._look_at_debt(self._throttle, now)
            again = min(again, self._close_by if self._mute else self._throttle.next_look)
        return again

    @property
    def _end_by(self) -> float:
        """When the client must have ended the connection. Our last words may wait behind what it still takes."""
        if self._outbox is None:
            return self._close_by
        return max(self._close_by, self._outbox.stalled_since + self._limits.close_timeout)

    def _keep_alive(self, now: float) -> float:
        if not self.accepted:
            return inf
        match self._keepalive.look(now, self._held):
            case Silence.PING:
                self.flush()
                self._write(encode_frame(Opcode.PING, b""))
            case Silence.TOO_LONG:
                self._lose(f"the client answered no ping for {self._limits.ping_timeout:g} s")
                return inf
        return self._keepalive.next_look
