"""One client on our server: frames to messages, and messages to frames. Nothing here does I/O.

The socket's side is synchronous: a wire calls `received` with bytes and `writable` when it has room. The endpoint's
side is the `Transport` that its WebSocket holds.

How messages leave. A message goes straight to the wire; `Sender` says what happens when that does not take it. Its
sender waits that long, or until it is cancelled, which changes nothing for the bytes: a frame that has begun is
finished, or the connection is aborted. While more messages wait to be handled, replies gather and leave in one write, a
scheduler tick later at the latest.

How it ends is in `wsframework.server.ending`.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from trio.lowlevel import checkpoint, checkpoint_if_cancelled

from ..compression import Compression, Deflate, choose
from ..errors import ProtocolError, WebSocketStateError
from ..limits import Limits
from ..messages import Message, WireFormat
from ..transport import RawHeaders
from .deflate import Agreement, Deflater, Inflater, deflated_frames, negotiate
from .ending import Ending
from .frames import PLAIN_FRAMES, Close, Opcode, Ping, Pong, encode_frame, encode_message
from .head.handshake import Handshake, encode_accept
from .pings import Pings
from .upkeep import Upkeep
from .wire import Wire

_GATHER = 64  # replies that leave in one write at most


class Connection(Ending):
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
        "_compression",
        "_deflater",
        "_encode",
        "_pings",
        "messages_out",
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
        super().__init__(wire, handshake, limits, upkeep, early, on_gone)
        self._compression = compression
        self._deflater: Deflater | None = None  # if messages may refer to earlier ones
        self._encode: Callable[[Message], bytes] = encode_message
        self.wire_format: WireFormat = PLAIN_FRAMES
        self._pings: Pings | None = None  # made for the first that an endpoint sends
        self.messages_out: int = 0

    # The wire's side

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
        await self._checkpoint()
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

    def _lose(self, reason: str) -> None:
        if not self.gone:
            self._deflater = None
            self._encode = encode_message
        super()._lose(reason)

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
