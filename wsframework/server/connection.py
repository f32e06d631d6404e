"""One client on our server: frames to messages, messages to frames, and the closing handshake. Nothing here does I/O.

The socket's side is synchronous: a wire calls `received` with bytes and `writable` when it has room. The endpoint's
side is the `Transport` that its WebSocket holds.

How messages leave. A message goes straight to the wire; `Sender` says what happens when that does not take it. Its
sender waits that long, or until it is cancelled, which changes nothing for the bytes: a frame that has begun is
finished, or the connection is aborted. While more messages wait to be handled, replies gather and leave in one write, a
scheduler tick later at the latest.

How it ends (RFC 6455 section 7). The client's close frame is answered at once when nothing it sent before is waiting.
Otherwise those messages are handled first, replies to them still go out, and the answer follows, also to a client that
has ended its side of the wire behind its close frame: it may still read. After our last byte the sending direction is
shut down and what still comes in is thrown away until the client closes too: closing a socket that has unread bytes
would send a reset, and the reset can overtake our close frame.

The words for that: we are *mute* when our last byte is sent or queued; the client is *finished* when nothing more is
expected of it, only that it goes; the connection is *gone* when the socket is let go. A client that is finished while
we are not mute is waiting for our answer.

One deadline, swept: a connection has one next time at which the sweeper looks at all of its clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..close import REFUSED, CloseCode
from ..compression import Compression, Deflate, choose
from ..errors import ProtocolError, RequestError, WebSocketStateError
from ..limits import Limits
from ..transport import Message, RawHeaders, WireFormat
from ..waking import BURST
from .deflate import Agreement, Deflater, Inflater, deflated_frames, negotiate
from .denial import Denial
from .frames import PLAIN_FRAMES, Close, Opcode, Ping, Pong, encode_close, encode_frame, encode_message
from .head.handshake import Handshake, encode_accept
from .head.response import encode_refusal
from .intake import Intake
from .keepalive import Silence
from .pings import Pings
from .upkeep import Upkeep
from .wire import Wire

_GATHER = 64  # replies that leave in one write at most

# Seconds for the client to hang up when both sides have said goodbye: what it waits for is only the end of our side,
# which is on its way. Chromium does so at once; one that does not would keep a server that stops waiting.
_LINGER = 1.0


class Connection(Intake):
    """A WebSocket connection from its handshake to its last byte.

    Args:
        wire: carries the bytes.
        handshake: the upgrade request, checked, not answered.
        limits: its bounds and deadlines.
        upkeep: sweeps its deadlines and flushes its replies.
        early: bytes that came behind the request head; they are read after ``accept``.
        on_gone: called once, when the socket is let go.
        compression: what holds where the application says nothing about it.

    Attributes:
        status: of our answer to the handshake, 0 while there is none.
        messages_in, messages_out: messages received, and sent or offered by the hub.
        bytes_in, bytes_out: bytes of frames of all kinds, as they came and went on the wire.
    """

    __slots__ = (
        "_client_finished",
        "_close_by",
        "_compression",
        "_deflater",
        "_denial",
        "_encode",
        "_handshake",
        "_on_gone",
        "_pings",
        "_said_goodbye",
        "messages_out",
        "status",
        "wire_format",
    )

    def __init__(
        self,
        wire: Wire,
        handshake: Handshake,
        limits: Limits,
        upkeep: Upkeep,
        early: bytes = b"",
        on_gone: Callable[[Connection], None] = lambda connection: None,
        compression: Deflate | None = None,
    ) -> None:
        super().__init__(wire, limits, upkeep, early)
        self._handshake: Handshake | None = handshake  # until it is answered
        self._on_gone = on_gone
        self._compression = compression
        self._deflater: Deflater | None = None  # if messages may refer to earlier ones
        self._encode: Callable[[Message], bytes] = encode_message
        self.wire_format: WireFormat = PLAIN_FRAMES
        self._denial: Denial | None = None  # a refusal with a body of its own has begun
        self._client_finished = False
        self._said_goodbye = False  # with a close frame
        self._pings: Pings | None = None  # made for the first that an endpoint sends
        self._close_by = inf
        self.status: int = 0
        self.messages_out: int = 0

    # The wire's side

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

    def _control(self, event: object) -> None:
        match event:
            case Ping(payload):
                if self._outbox is not None:
                    self._outbox.late_pong = payload
                elif not self._mute:
                    self._gathered.append(encode_frame(Opcode.PONG, payload))
            case Pong(payload):
                self._take_pong(payload)
            case Close(code=code, reason=reason) | ProtocolError(code=code, reason=reason):
                # Nothing that follows a violation is read any more, so that is the client's last word too.
                self._said_goodbye = isinstance(event, Close)
                self._client_ends(code, reason)

    def _take_pong(self, payload: bytes) -> None:
        now = trio.current_time()
        if not payload:
            self._keepalive.answered(now)
        elif self._pings is not None:
            latency = self._pings.answer(payload, now)
            if latency is not None:
                self._keepalive.latency = latency

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

    # The endpoint's side

    async def accept(
        self, subprotocol: str | None = None, headers: RawHeaders = (), compression: Compression = None
    ) -> None:
        await checkpoint_if_cancelled()
        if self.accepted:
            raise WebSocketStateError("accept was called twice")
        if self._denial is not None and not self._mute:
            raise WebSocketStateError("accept after start_response: the handshake is being refused")
        if self._mute or self._handshake is None:
            await checkpoint()
            raise self.disconnect()
        deflate = choose(compression, self._compression)
        agreement = None if deflate is None else negotiate(self._handshake.extensions, deflate)
        extensions = "" if agreement is None else agreement.extension
        answer = encode_accept(self._handshake, subprotocol, headers, extensions)
        self._handshake = None
        self.accepted = True
        self.status = 101
        self.subprotocol = subprotocol
        self.extensions = extensions
        if deflate is not None and agreement is not None:
            self._compress(deflate, agreement)
        self._write(answer)
        self.bytes_out = 0  # frames only
        now = trio.current_time()
        self._begin_reading(now)
        if not self.gone:
            self._keepalive.start(now)
            self._upkeep.watch(self, self._keepalive.next_look)

    def _compress(self, deflate: Deflate, agreement: Agreement) -> None:
        """Do as was agreed."""
        frames = deflated_frames(agreement.window_bits, deflate.level, deflate.memory_level, deflate.threshold)
        self.wire_format = frames
        self._encode = frames.encode
        if agreement.takeover:
            self._deflater = Deflater(frames)
            self._encode = self._deflater.encode
        self._reader.expect_compression(Inflater(agreement.client_window_bits, agreement.client_takeover))

    async def send(self, message: Message) -> None:
        self._burst -= 1
        if self._burst:
            await checkpoint_if_cancelled()
        else:
            self._burst = BURST
            await checkpoint()
        if self._mute:
            await checkpoint()
            raise self.disconnect()
        if not self.accepted:
            raise WebSocketStateError("send before accept: call `await websocket.accept()` first")
        mailbox = self.mailbox
        # Muted: catching up was what made the client too slow, or showed that it is gone.
        behind = (mailbox is not None and not mailbox.catch_up()) or self._mute or self._outbox is not None
        if (behind or self._line is not None) and await self._wait_for_turn(message):
            return
        frame = self._encode(message)  # not before: what is encoded here must be next on the wire, see deflate.py
        self.messages_out += 1
        gathered = self._gathered
        if not self._inbox and not gathered:
            self._write(frame)
        else:
            gathered.append(frame)
            if not self._inbox or len(gathered) >= _GATHER:
                self.flush()
            elif len(gathered) == 1:
                self._upkeep.flush_soon(self)
        if self._outbox is not None:
            await self._wait_until_taken()

    @property
    def latency(self) -> float | None:
        return self._keepalive.latency

    async def ping(self) -> float:
        await checkpoint_if_cancelled()
        if self.close_code is None and not self.accepted:
            raise WebSocketStateError("ping before accept: call `await websocket.accept()` first")
        if self._pings is None:
            self._pings = Pings()
        ping = self._pings.send(trio.current_time())
        try:
            if self.close_code is None:
                self.flush()
                self._write(encode_frame(Opcode.PING, ping.payload))
                await ping.settled.wait()
            else:
                await checkpoint()
        finally:
            self._pings.forget(ping)
        if ping.latency is None:
            raise self.disconnect()
        return ping.latency

    def _begin_end(self, code: int, reason: str, *, by_us: bool = False) -> None:
        super()._begin_end(code, reason, by_us=by_us)
        if self._pings is not None:
            self._pings.end()

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

    # The hub's side

    def offer(self, encoded: bytes, messages: int = 1) -> bool:
        if self._mute:
            return True
        if self._gathered:
            self.flush()
        if self._deflater is not None:
            self._deflater.pass_by(encoded, messages)
        self.messages_out += messages
        return self._write(encoded)

    # The end

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
        self._deflater = None
        self._encode = encode_message
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
