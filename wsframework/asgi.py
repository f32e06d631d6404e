"""The transport for any other ASGI server: the plain ``receive`` and ``send`` that it gives us.

Inside a session two tasks work for it: one always receives, up to the bound of the inbox, so that a client's leaving is
seen while its endpoint is busy; one sends, so that the hub never waits. Without a session, in an application that
builds ``WebSocket(scope, receive, send)`` by itself, calls go straight through.

What no layer above a server can add: this transport cannot cut off a client that stops reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import trio
from trio.lowlevel import ParkingLot, checkpoint, checkpoint_if_cancelled

from .close import REFUSED, CloseCode
from .compression import COMPRESSION, Compression
from .errors import WebSocketDisconnect, WebSocketStateError
from .headers import check_accept
from .limits import Limits
from .messages import Message, WireFormat
from .transport import RawHeaders, Transport

ASGIEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[ASGIEvent]]
Send = Callable[[ASGIEvent], Awaitable[None]]


_INBOX_MESSAGES = Limits().inbox_messages
_WRITE_TIMEOUT = Limits().write_timeout

# What may be on its way to the server before the client counts as behind: a socket's buffer, for servers that wait.
_ALLOWANCE = 64 * 1024
_CROWDED = 256 * 1024  # and what may be queued behind that, by senders that do not wait to the end
_EVENT = 64  # what an event counts at least, so that empty ones are bounded as well


class EventFormat:
    """Messages as lists of ASGI events."""

    def encode(self, message: Message) -> list[ASGIEvent]:
        return [{"type": "websocket.send", "text" if isinstance(message, str) else "bytes": message}]

    def join(self, encoded: Sequence[list[ASGIEvent]]) -> list[ASGIEvent]:
        return [event for events in encoded for event in events]


ASGI_EVENTS = EventFormat()


def _size(event: ASGIEvent) -> int:
    return _EVENT + len(event.get("text") or event.get("bytes") or "")


class ASGITransport(Transport):
    """One client behind another server's ``receive`` and ``send``."""

    __slots__ = (
        "_asgi_receive",
        "_asgi_send",
        "_can_compress",
        "_can_respond",
        "_connected",
        "_idle",
        "_offered",
        "_outbox",
        "_reading",
        "_responding",
        "_room",
        "_waiting",
        "_writing",
    )

    wire_format: WireFormat = ASGI_EVENTS

    def __init__(self, receive: Receive, send: Send, scope: MutableMapping[str, Any]) -> None:
        super().__init__()
        self._asgi_receive = receive
        self._asgi_send = send
        self._offered: list[str] = scope.get("subprotocols") or []
        self._can_compress = COMPRESSION in (scope.get("extensions") or {})  # our own server, behind middleware
        self._can_respond = "websocket.http.response" in (scope.get("extensions") or {})
        self._connected = trio.Event()  # the server's connect event was taken; nothing may be sent before it
        self._outbox: deque[ASGIEvent] = deque()
        self._waiting = 0  # what is in the outbox, in bytes or characters of text
        self._reading = self._writing = False
        self._responding = False  # a refusal with a body of its own has begun
        self._idle = ParkingLot()
        self._room = ParkingLot()

    def start(self, nursery: trio.Nursery) -> None:
        self._reading = self._writing = True
        nursery.start_soon(self._read)
        nursery.start_soon(self._write)

    # In

    async def receive(self) -> Message:
        while not self._reading and not self._inbox and self.close_code is None:
            if not self.accepted:
                raise WebSocketStateError("receive before accept: call `await websocket.accept()` first")
            self._take(await self._asgi_receive())
        return await super().receive()

    async def asgi_receive(self) -> dict[str, Any]:
        await self._connect()
        return await super().asgi_receive()

    async def _read(self) -> None:
        while self.close_code is None:
            try:
                event = await self._asgi_receive()
            except Exception:
                self._lose(CloseCode.ABNORMAL_CLOSURE, "the server failed")
                raise
            self._take(event)
            if len(self._inbox) >= _INBOX_MESSAGES:
                self._held = True
                await self._room.park()

    def _take(self, event: ASGIEvent) -> None:
        self._connected.set()
        match event["type"]:
            case "websocket.receive":
                if self._mute:  # it came behind our close frame, and nobody is interested any more
                    return
                text = event.get("text")
                self._inbox.append(event["bytes"] if text is None else text)
                self._wake_receiver()
            case "websocket.disconnect":
                self._lose(event.get("code") or CloseCode.NO_STATUS_RECEIVED, event.get("reason") or "")

    def _make_room(self) -> None:
        if len(self._inbox) <= _INBOX_MESSAGES // 2:
            self._held = False
            self._room.unpark()

    # Out

    async def accept(
        self, subprotocol: str | None = None, headers: RawHeaders = (), compression: Compression = None
    ) -> None:
        if self.accepted:
            raise WebSocketStateError("accept was called twice")
        if self._responding and self.close_code is None:
            raise WebSocketStateError("accept after start_response: the handshake is being refused")
        headers = list(headers)
        check_accept(self._offered, subprotocol, headers)
        await self._connect()
        if self.close_code is not None:
            await checkpoint()
            raise self.disconnect()
        self.accepted = True
        self.subprotocol = subprotocol
        event: ASGIEvent = {"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}
        if compression is not None and self._can_compress:
            event[COMPRESSION] = compression
        await self._pass(event)
        self._check_gone()

    async def send(self, message: Message) -> None:
        await self._checkpoint()
        if self._mute:
            await checkpoint()
            raise self.disconnect()
        if not self.accepted:
            raise WebSocketStateError("send before accept: call `await websocket.accept()` first")
        events = ASGI_EVENTS.encode(message)
        caught_up = self.mailbox is None or self.mailbox.catch_up()
        if (not caught_up or self._mute or self._outbox or self._line is not None) and await self._wait_for_turn(
            message
        ):
            return
        if self._writing:
            self.offer(events)
            await self._wait_until_passed()
        else:
            await self._pass(events[0])
            self._check_gone()

    async def wait_taken(self) -> None:
        # Not when no more waits than the allowance: the mailbox hears that the client keeps up when nothing waits.
        await self._wait_until_passed()

    async def _wait_until_passed(self) -> None:
        """Wait until the server's ``send`` has returned: credit is for the hub, which cannot wait."""
        if self._senders is None:
            self._senders = ParkingLot()
        if self._outbox:
            await self._senders.park()
        self._check_gone()

    async def start_response(self, status: int, headers: RawHeaders) -> None:
        await self._connect()
        if self.close_code is not None and not self.accepted:
            await checkpoint()
            raise self.disconnect()
        if self.accepted or self._responding:
            raise WebSocketStateError("a handshake is refused once, and before it is accepted")
        self._responding = True
        await self._pass({"type": "websocket.http.response.start", "status": status, "headers": list(headers)})

    async def send_body(self, body: bytes, more: bool) -> None:
        if not self._responding:
            raise WebSocketStateError("a response body needs a response: send websocket.http.response.start first")
        if self.close_code is not None:
            await checkpoint()
            raise self.disconnect()
        await self._pass({"type": "websocket.http.response.body", "body": body, "more_body": more})
        if not more:
            self._mute = True
            self._begin_end(CloseCode.ABNORMAL_CLOSURE, REFUSED, by_us=True)

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        if self.close_code is None:
            await self._connect()
        await super().close(code, reason)
        if not self._writing:
            await self._flush()

    @property
    def behind(self) -> bool:
        return self._waiting > _ALLOWANCE

    @property
    def crowded(self) -> bool:
        return self._waiting > _CROWDED

    def offer(self, encoded: list[ASGIEvent], messages: int = 1) -> bool:
        if self._mute:
            return True
        self._outbox.extend(encoded)
        self._waiting += sum(map(_size, encoded))
        self._idle.unpark()
        return not self.behind

    def _close(self, code: int, reason: str, *, by_us: bool) -> None:
        if self.close_code is not None:
            return
        if self._responding:
            self.offer([{"type": "websocket.http.response.body", "body": b"", "more_body": False}])
        elif code == CloseCode.INTERNAL_ERROR and not self.accepted and self._can_respond:
            body = b"Internal Server Error\n"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
            self.offer([{"type": "websocket.http.response.start", "status": 500, "headers": headers}])
            self.offer([{"type": "websocket.http.response.body", "body": body}])
        else:
            self.offer([{"type": "websocket.close", "code": int(code), "reason": reason}])
        self._mute = True
        self._begin_end(code, reason, by_us=by_us)

    async def finish(self) -> None:
        """Send what still waits; the session's tasks are gone by now."""
        self._reading = self._writing = False
        await self._flush()

    async def _write(self) -> None:
        await self._connected.wait()
        while True:
            while not self._outbox:
                await self._idle.park()
            while self._outbox:
                await self._send_next(_WRITE_TIMEOUT)
                await checkpoint_if_cancelled()
            if self.mailbox is not None and not self._mute:
                self.mailbox.drained()
            self._wake_senders()

    async def _flush(self) -> None:
        """Send everything that waits, within one write timeout for all of it."""
        deadline = trio.current_time() + _WRITE_TIMEOUT
        while self._outbox:
            await self._send_next(deadline - trio.current_time())

    async def _send_next(self, seconds: float) -> None:
        # Taken out only when the server has it, and shielded, so that the end of a session neither loses a message
        # nor sends it twice. The deadline works on servers whose send can be cancelled; hypercorn's cannot.
        with trio.move_on_after(max(0, seconds), shield=True) as scope:
            await self._connect()
            if self._outbox:  # not emptied, because the client had left before anything could be sent
                await self._pass(self._outbox[0])
        if scope.cancelled_caught:
            self._lose(CloseCode.ABNORMAL_CLOSURE, f"the client took too little in {_WRITE_TIMEOUT:g} s")
        if self._outbox:  # emptied when the client is gone
            self._waiting -= _size(self._outbox.popleft())

    async def _connect(self) -> None:
        """Wait for the server's connect event, unless something has taken it already."""
        if self._connected.is_set():
            return
        if self._reading:
            await self._connected.wait()
        else:
            self._take(await self._asgi_receive())

    async def _pass(self, event: ASGIEvent) -> None:
        try:
            await self._asgi_send(event)
        except (OSError, WebSocketDisconnect) as error:
            self._lose(getattr(error, "code", CloseCode.ABNORMAL_CLOSURE), getattr(error, "reason", ""))

    def _check_gone(self) -> None:
        if self.gone:
            raise self.disconnect()

    def _lose(self, code: int, reason: str) -> None:
        self.gone = self._mute = True
        self._outbox.clear()
        self._waiting = 0
        self._begin_end(code, reason)
        self._wake_senders()
