"""One client on our server: frames to messages, messages to frames, and the closing handshake. Nothing here does I/O.

The socket's side is synchronous: a wire calls `received` with bytes and `writable` when it has room. The endpoint's
side is the `Transport` that its WebSocket holds.

How bytes leave. A message goes straight to the wire. What the wire does not take waits in the backlog, in order, and
leaves from `writable`; its sender waits that long, or until it is cancelled, which changes nothing for the bytes: a
frame that has begun is finished, or the connection is aborted. While more messages wait to be handled, replies gather
and leave in one write, a scheduler tick later at the latest.

How it ends (RFC 6455 section 7). The client's close frame is answered at once when nothing it sent before is waiting.
Otherwise those messages are handled first, replies to them still go out, and the answer follows. After our last byte
the sending direction is shut down and what still comes in is thrown away until the client closes too: closing a socket
that has unread bytes would send a reset, and the reset can overtake our close frame.

One deadline, swept: a connection has one next time at which the sweeper looks at all of its clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..close import CloseCode
from ..errors import ProtocolError, RequestError, WebSocketStateError
from ..headers import check_header
from ..limits import Limits
from ..transport import BURST, Message, RawHeaders, Transport, WireFormat
from .frames import Close, FrameReader, Opcode, Ping, encode_close, encode_frame, encode_message
from .handshake import Handshake, encode_accept, encode_head, encode_refusal
from .upkeep import Upkeep
from .wire import Wire

_GATHER = 64  # replies that leave in one write at most
_CROWDED = 256 * 1024  # bytes in the backlog at which a message waits before it is queued
_PROGRESS = 64 * 1024  # bytes that count as progress, and renew the write deadline


class FrameFormat:
    """Frames without an extension: the same bytes for every client."""

    def encode(self, message: Message) -> bytes:
        return encode_message(message)

    def join(self, encoded: Sequence[bytes]) -> bytes:
        return b"".join(encoded)


PLAIN_FRAMES = FrameFormat()


class Connection(Transport):
    """A WebSocket connection from its handshake to its last byte.

    Args:
        wire: carries the bytes.
        handshake: the upgrade request, checked, not answered.
        limits: its bounds and deadlines.
        upkeep: sweeps its deadlines and flushes its replies.
        early: bytes that came behind the request head; they are read after ``accept``.
        on_gone: called once, when the socket is let go.
    """

    __slots__ = (
        "_answer",
        "_backlog",
        "_close_by",
        "_early",
        "_finished",
        "_handshake",
        "_heard",
        "_hung_up",
        "_inbox_bytes",
        "_late_pong",
        "_limits",
        "_on_gone",
        "_outgoing",
        "_pinged",
        "_progress",
        "_reader",
        "_response",
        "_shut",
        "_silent_since",
        "_stalled_since",
        "_upkeep",
        "_wire",
        "next_sweep",
        "status",
    )

    wire_format: WireFormat = PLAIN_FRAMES

    def __init__(
        self,
        wire: Wire,
        handshake: Handshake,
        limits: Limits,
        upkeep: Upkeep,
        early: bytes = b"",
        on_gone: Callable[[Connection], None] = lambda connection: None,
    ) -> None:
        super().__init__()
        self._wire = wire
        self._handshake = handshake
        self._limits = limits
        self._upkeep = upkeep
        self._on_gone = on_gone
        self._early = bytearray(early)
        self._reader = FrameReader(limits.message, limits.fragments)
        self._inbox_bytes = 0
        self._outgoing: list[bytes] = []
        self._backlog: deque[bytes | memoryview] = deque()
        self._late_pong: bytes | None = None
        self._response = False  # a refusal with a body of its own has begun
        self._answer: bytes | None = None  # to the client's close frame, while its messages are still being handled
        self._shut = False  # we have sent, or queued, our last byte
        self._finished = False  # and nothing more is expected of the client either, only that it goes
        self._close_by = inf
        self._stalled_since = self._silent_since = 0.0
        self._progress = 0
        self._heard = self._pinged = self._hung_up = False
        self.next_sweep: float = inf
        self.status: int = 0  # of our answer to the handshake, once there is one

    # The wire's side

    def received(self, data: bytes) -> None:
        """Take in what the socket gave; empty means the client has closed its side or is gone."""
        if not data:
            self._lose("the client left without a close frame")
            return
        self._heard = True
        if not self.accepted:
            self._keep_early(data)
            return
        inbox = self._inbox
        if not inbox:
            self._inbox_bytes = 0
        for event in self._reader.feed(data):
            if not isinstance(event, (str, bytes)):
                self._control(event)
            elif not self._shut:
                inbox.append(event)
        if inbox:
            self._inbox_bytes += len(data)
            if self._receiver is not None:
                self._wake_receiver()
            limits = self._limits
            if len(inbox) >= limits.inbox_messages or self._inbox_bytes >= limits.inbox_bytes:
                self._hold()
        if self._outgoing:
            self.flush()

    def writable(self) -> None:
        """The wire has room: send on from the backlog, then let everybody know who waits for that."""
        if not self._drain():
            return
        if self._late_pong is not None and not self._mute:
            pong, self._late_pong = self._late_pong, None
            self._write(encode_frame(Opcode.PONG, pong))
        if self._outgoing:
            self.flush()
        if self._backlog:
            return
        if self._finished and self._shut:  # not while an answer waits for the messages before it to be handled
            self._wire.shut_down()
        if self.mailbox is not None and not self._mute:
            self.mailbox.drained()
        self._wake_senders()

    def hung_up(self) -> None:
        """The client is gone, and what it sent before still waits behind a full inbox."""
        self._hung_up = True
        if self.close_code is None:
            self._tell_session(False)

    def abandon(self) -> None:
        """Let go of the socket at once, for a reason that is not the client's."""
        self._lose("the server let go of the connection")

    def _control(self, event: object) -> None:
        match event:
            case Ping(payload):
                if self._backlog:
                    self._late_pong = payload  # the newest will do (section 5.5.3), so a flood of pings queues one
                elif not self._shut:
                    self._outgoing.append(encode_frame(Opcode.PONG, payload))
            case Close(code=code, reason=reason) | ProtocolError(code=code, reason=reason):
                # Nothing that follows a violation is read any more, so that is the client's last word too.
                self._client_ends(code, reason)

    def _client_ends(self, code: int, reason: str) -> None:
        """The client has said its last. Answer, but not before what it said earlier has been handled."""
        self._finished = True
        if self._shut:
            self._shut_down()
            return
        self._answer = encode_close(code, reason)
        self._begin_end(code, reason)  # first, because the answer may find nobody, and that is not how it ended
        if not self._inbox:
            self._finish_end()

    def _keep_early(self, data: bytes) -> None:
        """Before ``accept``, keep what comes; a refused client has nothing to say any more."""
        if not self._shut:
            self._early += data
            if len(self._early) >= self._limits.request_head:
                self._hold()

    # Room for what comes in

    def _hold(self) -> None:
        if not self._held and not self._shut:
            self._held = True
            self._wire.hold()

    def _make_room(self) -> None:
        few = len(self._inbox) <= self._limits.inbox_messages // 2
        if not self._inbox or (few and self._inbox_bytes < self._limits.inbox_bytes):
            self._read_on()

    def _read_on(self) -> None:
        if self._held:
            self._held = False
            self._wire.resume()

    # The endpoint's side

    async def accept(self, subprotocol: str | None = None, headers: RawHeaders = ()) -> None:
        await checkpoint_if_cancelled()
        if self.accepted:
            raise WebSocketStateError("accept was called twice")
        if self._response and not self._mute:
            raise WebSocketStateError("accept after start_response: the handshake is being refused")
        if self._mute:
            await checkpoint()
            raise self.disconnect()
        answer = encode_accept(self._handshake, subprotocol, headers)
        self.accepted = True
        self.status = 101
        self.subprotocol = subprotocol
        self._write(answer)
        self._wake_receiver()
        self._read_on()
        early, self._early = bytes(self._early), bytearray()
        if early:
            self.received(early)
        if self._limits.ping_interval is not None and not self.gone:
            self._silent_since = trio.current_time()
            self._upkeep.watch(self, self._silent_since + self._limits.ping_interval)

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
        frame = encode_message(message)
        caught_up = self.mailbox is None or self.mailbox.catch_up()
        # Muted: catching up was what made the client too slow, or showed that it is gone.
        if (not caught_up or self._mute or self._backlog) and await self._wait_for_turn(frame):
            return
        outgoing = self._outgoing
        if not self._inbox and not outgoing:
            self._write(frame)
        else:
            outgoing.append(frame)
            if not self._inbox or len(outgoing) >= _GATHER:
                self.flush()
            elif len(outgoing) == 1:
                self._upkeep.flush_soon(self)
        if self._backlog:
            await self._wait_until_taken()

    async def start_response(self, status: int, headers: RawHeaders) -> None:
        await checkpoint_if_cancelled()
        if self.accepted or self._response:
            raise WebSocketStateError("a handshake is refused once, and before it is accepted")
        if self._mute:
            raise self.disconnect()
        fields = [(name, value) for name, value in headers if name.lower() not in (b"connection", b"transfer-encoding")]
        for name, value in fields:
            check_header(name, value)
        self._response = True
        self.status = status
        self._write(encode_head(status, [*fields, (b"Connection", b"close")]))

    async def send_body(self, body: bytes, more: bool) -> None:
        if not self._response:
            raise WebSocketStateError("a response body needs a response: send websocket.http.response.start first")
        await self._checkpoint()
        if self._mute:
            raise self.disconnect()
        if body:
            self._write(body)
        if not more:
            self._refused(b"", CloseCode.ABNORMAL_CLOSURE, "the handshake was refused")
        elif self._backlog:
            await self._wait_until_taken()

    # The hub's side

    @property
    def behind(self) -> bool:
        return bool(self._backlog)

    @property
    def crowded(self) -> bool:
        return len(self._backlog) >= _GATHER or sum(map(len, self._backlog)) >= _CROWDED

    def offer(self, encoded: bytes) -> bool:
        if self._mute:
            return True
        if self._outgoing:
            self.flush()
        self._write(encoded)
        return not (self._backlog or self.gone)

    # The end

    def refuse(
        self, error: RequestError, code: int = CloseCode.ABNORMAL_CLOSURE, reason: str = "the handshake was refused"
    ) -> None:
        """Answer the handshake with an error, unless it has been answered. The code and reason stay on our side."""
        if not self.accepted and not self._shut:
            self.status = self.status or error.status
            self._refused(b"" if self._response else encode_refusal(error), code, reason)

    def _refused(self, data: bytes, code: int, reason: str) -> None:
        self._finished = True
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
        if self._answer is not None:
            answer, self._answer = self._answer, None
            self._say_last(answer)
            self._wake_senders()  # what has lined up cannot follow our close frame

    def _say_last(self, data: bytes) -> None:
        """Send our last bytes; the client then has a while to end the connection."""
        self._outgoing.append(data)
        self.flush()
        self._shut = self._mute = True
        self._close_by = trio.current_time() + self._limits.close_timeout
        self._upkeep.watch(self, self._close_by)
        self._read_on()
        if self._finished:
            self._shut_down()

    def _shut_down(self) -> None:
        """Both sides have said their last: end our direction, now or when the backlog has left."""
        if not self._backlog and not self.gone:
            self._wire.shut_down()

    def _lose(self, reason: str) -> None:
        """The socket is let go; whatever was still to be sent is gone with it."""
        if self.gone:
            return
        self.gone = self._shut = self._mute = True
        self._answer = None
        self._reader.end()  # the sweeper may remember us for a while: keep nothing large
        self._early = bytearray()
        self._backlog.clear()
        self._outgoing.clear()
        self._wire.close()
        self._begin_end(CloseCode.ABNORMAL_CLOSURE, reason)
        self._wake_senders()
        self._on_gone(self)

    # Bytes out

    def flush(self) -> None:
        """Write the replies that have gathered, joined."""
        outgoing = self._outgoing
        if outgoing:
            data = outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)
            outgoing.clear()
            self._write(data)

    def _write(self, data: bytes) -> None:
        if self.gone:
            return
        if self._backlog:
            self._backlog.append(data)
            return
        try:
            sent = self._wire.send(data)
        except OSError:
            self._lose("the client is gone")
            return
        if sent < len(data):
            self._backlog.append(memoryview(data)[sent:])
            self._wire.ask_to_write()
            self._stalled_since = trio.current_time()
            self._progress = 0
            self._upkeep.watch(self, self._stalled_since + self._limits.write_timeout)

    def _drain(self) -> bool:
        """Send from the backlog what the wire takes; say whether that was everything."""
        backlog = self._backlog
        while backlog:
            data = backlog[0]
            try:
                sent = self._wire.send(data)
            except OSError:
                self._lose("the client is gone")
                return False
            self._progress += sent
            if self._progress >= _PROGRESS:
                self._progress = 0
                self._heard = True  # a client that takes bytes is alive, though our ping may be behind them
                self._stalled_since = trio.current_time()
            if sent < len(data):
                backlog[0] = memoryview(data)[sent:]
                self._wire.ask_to_write()
                return False
            backlog.popleft()
        return not self.gone

    # Deadlines

    def sweep(self, now: float) -> float:
        """Look at every clock of this connection; return when to look again."""
        if self.gone:
            return inf
        if now >= self._close_by:
            self._lose("the client did not end the connection in time")
            return inf
        again = self._close_by
        if self._backlog and not self._shut:
            patience = self._stalled_since + self._limits.write_timeout
            if now >= patience:
                self._lose(f"the client took too little in {self._limits.write_timeout:g} s")
                return inf
            again = min(again, patience)
        return min(again, self._keep_alive(now))

    def _keep_alive(self, now: float) -> float:
        """Ping a client that has been silent; cut it off when it stays silent (section 5.5.2)."""
        interval = self._limits.ping_interval
        if interval is None or self._shut or not self.accepted:
            return inf
        if self._heard or self._held:
            self._heard = self._pinged = False
            self._silent_since = now
            return now + interval
        if self._pinged:
            patience = self._silent_since + self._limits.ping_timeout
            if now >= patience:
                self._lose(f"the client answered no ping for {self._limits.ping_timeout:g} s")
                return inf
            return patience
        if now < self._silent_since + interval:
            return self._silent_since + interval
        self._pinged = True
        self._silent_since = now
        self.offer(encode_frame(Opcode.PING, b""))
        return now + self._limits.ping_timeout
