"""What a WebSocket talks through: one client's messages in and out, whatever carries them.

There are two kinds. A `Connection` of our own server is one, and talks to the socket. `ASGITransport` is the other; it
wraps the ``receive`` and ``send`` of any ASGI server. Everything above this floor, sessions and hub included, knows
only `Transport`.

How a transport ends. ``close_code`` is None while the client is there. It is set once, when the end begins: by the
client's close frame, by ours, or by a connection that broke. Messages that came before are still handed out; then
every ``receive`` raises `WebSocketDisconnect`, and so does every ``send`` that could not reach the client any more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, MutableMapping
from typing import Any

import trio
from trio.lowlevel import (
    Abort,
    ParkingLot,
    Task,
    checkpoint,
    current_task,
    reschedule,
)

from .close import CloseCode, check_close
from .compression import COMPRESSION, Compression
from .errors import ClientGone, WebSocketDisconnect, WebSocketStateError
from .messages import Mailbox, Message, Ticket, WireFormat
from .waking import BURST, WOKEN, Burst, Trap, awaitable, make_trap

RawHeaders = Iterable[tuple[bytes, bytes]]


class Transport(Burst, ABC):
    """One client: receive its messages in order, send it messages in order, end once.

    Attributes:
        wire_format: shared by all transports that can send each other's encoded messages.
        accepted: the handshake is done and messages may flow.
        subprotocol: the one that was agreed on, if any.
        extensions: those that were agreed on, as the answer to the handshake names them.
        close_code: None, or the code with which the end began.
        close_reason: the reason beside it, often empty.
        gone: there is no connection any more; nothing that waited will leave.
        on_end: called once, when the end begins, with whether it was the endpoint itself that closed.
        on_late_message: called for each message that is handed out; set once the client has left.
        mailbox: what the hub has for this client, if it has subscribed to anything.
    """

    __slots__ = (
        "_connect_told",
        "_held",
        "_inbox",
        "_line",
        "_mute",
        "_receiver",
        "_senders",
        "_trap",
        "accepted",
        "close_code",
        "close_reason",
        "extensions",
        "gone",
        "mailbox",
        "on_end",
        "on_late_message",
        "subprotocol",
    )

    wire_format: WireFormat

    def __init__(self) -> None:
        super().__init__()
        self.accepted: bool = False
        self.subprotocol: str | None = None
        self.extensions: str = ""
        self.close_code: int | None = None
        self.close_reason: str = ""
        self.gone: bool = False
        self.on_end: Callable[[bool], None] | None = None
        self.on_late_message: Callable[[], None] | None = None
        self.mailbox: Mailbox | None = None
        # A list, though its first leaves first: it holds a few messages, and an empty deque has room for 64 already.
        self._inbox: list[Message] = []
        self._held = False  # the inbox is full, and nothing more is read from the client
        self._mute = False  # nothing can be sent any more
        self._receiver: Task | None = None
        self._senders: ParkingLot | None = None  # tasks whose messages wait for the client to take bytes
        self._line: ParkingLot | None = None  # behind the one whose turn it is to wait for room; None: it is nobody's
        self._connect_told = False
        self._trap: Trap | None = None  # made for the first wait

    # What an endpoint calls

    @abstractmethod
    async def accept(
        self, subprotocol: str | None = None, headers: RawHeaders = (), compression: Compression = None
    ) -> None:
        """Finish the handshake, agree on ``subprotocol``, add ``headers`` to the answer, and compress if that is so."""

    @awaitable
    def receive(self) -> Generator[Any, Any, Message]:
        """Return the next message, a string for text and bytes for binary.

        Raises:
            WebSocketDisconnect: the connection has ended and everything that came before was handed out.
            trio.BusyResourceError: another task is receiving.

        If it is cancelled: nothing is lost, the next call returns what this one would have.
        """
        if self._inbox:
            yield from self._checkpoint().__await__()
        while not self._inbox:
            if self.close_code is not None:
                self._finish_end()
                yield from checkpoint().__await__()  # noqa: ASYNC105 - awaited all the same
                raise self.disconnect()
            if not self.accepted:
                raise WebSocketStateError("receive before accept: call `await websocket.accept()` first")
            woken = yield self._begin_to_wait()
            if woken is not WOKEN:
                woken.unwrap()
        message = self._inbox.pop(0)
        if self._held:
            self._make_room()
        if self.on_late_message is not None:
            self.on_late_message()
        return message

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Send one message: a string as text, bytes as binary. Waits while the client is behind.

        Raises:
            WebSocketDisconnect: the connection has ended.

        If it is cancelled: the message either has not begun or arrives whole.
        """

    async def close(self, code: int = CloseCode.NORMAL_CLOSURE, reason: str = "") -> None:
        """Say goodbye with this code and reason; before ``accept``, refuse the handshake with 403.

        After the end this does nothing. It does not wait for the client's answer: the server sees to that.
        """
        check_close(code, reason)
        if self.mailbox is not None:
            self.mailbox.empty()
        self._close(code, reason, by_us=True)
        await checkpoint()

    @property
    def latency(self) -> float | None:
        """Seconds from the last ping that was answered to its pong; None without one, or where nobody can tell."""
        return None

    async def ping(self) -> float:
        """Send a ping, wait for its pong, and return the seconds between them.

        Raises:
            WebSocketDisconnect: the connection has ended, or does before the pong comes.
            WebSocketStateError: before ``accept``; or what carries this connection has no pings.

        If it is cancelled: the ping has been sent, and its pong means nothing any more.
        """
        await checkpoint()
        if self.close_code is not None:
            raise self.disconnect()
        raise WebSocketStateError(
            "ping needs the server of wsframework (`wsframework run`) and no middleware that wraps receive or send: "
            "ASGI has no event for it. Send a message, and have the client answer it"
        )

    @abstractmethod
    async def start_response(self, status: int, headers: RawHeaders) -> None:
        """Begin an HTTP response that refuses the handshake."""

    @abstractmethod
    async def send_body(self, body: bytes, more: bool) -> None:
        """Send a part of that response; the last one has ``more`` unset."""

    # What the hub and the session call; none of it waits

    @abstractmethod
    def offer(self, encoded: Any, messages: int = 1) -> bool:
        """Send so many messages, encoded already. False: the client is behind now, and its mailbox hears when it is
        not; or it turned out to be gone."""

    @property
    @abstractmethod
    def behind(self) -> bool:
        """Something waits for the client to take it."""

    @property
    @abstractmethod
    def crowded(self) -> bool:
        """So much waits that no message should be queued before some of it has been taken."""

    @property
    def over(self) -> bool:
        """The end has begun, and no message from before it waits to be received."""
        return self.close_code is not None and not self._inbox

    async def wait_taken(self) -> None:
        """Wait until the client has taken everything that was offered, or the end has begun.

        Raises:
            WebSocketDisconnect: there is no connection any more.
        """
        await self._wait_until_taken()

    def cut_off(self, code: int, reason: str = "") -> None:
        """End the connection although nobody in the endpoint asked for it. Does nothing after the end."""
        self._close(code, reason, by_us=False)

    def start(self, nursery: trio.Nursery) -> None:
        """Start the tasks that this transport needs, if any. They end with the nursery."""

    def disconnect(self) -> WebSocketDisconnect:
        """Build the exception that tells of the end."""
        code = CloseCode.ABNORMAL_CLOSURE if self.close_code is None else self.close_code
        return WebSocketDisconnect(code, self.close_reason)

    # What the kinds of transport share

    @abstractmethod
    def _close(self, code: int, reason: str, *, by_us: bool) -> None:
        """Begin the end from this side: a close frame, or a refusal before the handshake is done."""

    def _finish_end(self) -> None:
        """Called when the end has begun and the last message before it has been handled."""

    @abstractmethod
    def _make_room(self) -> None:
        """A message was taken from an inbox that was full; read on if there is room enough."""

    def _begin_end(self, code: int, reason: str, *, by_us: bool = False) -> None:
        """Note how the connection ends, wake everybody who waits for it, and tell the session if it did not ask."""
        if self.close_code is not None:
            return
        self.close_code, self.close_reason = int(code), reason
        if by_us:
            self._inbox.clear()
        self._tell_session(by_us)
        self._wake_receiver()
        self._wake_senders()
        self._trap = None  # nobody waits any more, and it refers to us

    def _tell_session(self, by_us: bool) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(by_us)

    def _begin_to_wait(self) -> Trap:
        """Have this task be the one that waits for a message, an end, or the handshake's completion.

        Returns:
            what it has to yield at once.
        """
        if self._receiver is not None:
            raise trio.BusyResourceError("another task is already receiving from this WebSocket")
        if self._trap is None:
            self._trap = make_trap(self._stop_receiving)
        self._burst = BURST  # waiting lets other tasks run
        self._receiver = current_task()
        return self._trap

    @awaitable
    def _wait_for_news(self) -> Generator[Any, Any, None]:
        woken = yield self._begin_to_wait()
        if woken is not WOKEN:
            woken.unwrap()

    def _wake_receiver(self) -> None:
        task, self._receiver = self._receiver, None
        if task is not None:
            reschedule(task, WOKEN)

    def _wake_senders(self) -> None:
        if self._senders is not None:
            self._senders.unpark_all()

    def _stop_receiving(self, _raise_cancel: Any) -> Abort:
        self._receiver = None
        return Abort.SUCCEEDED

    async def _wait_for_turn(self, message: Message) -> bool:
        """Wait until a direct message may be queued: behind what was published before it, and while few are waiting.

        Without this bound, sends that are cancelled one after the other would pile up what they leave behind. First
        come, first served: one task at a time waits for room, and the others wait for that one, since Trio runs tasks
        that are woken together in any order.

        Returns:
            True when the message has gone by now, in line behind publications.

        Raises:
            WebSocketDisconnect: nothing can be sent any more.
        """
        if self._line is None:
            self._line = ParkingLot()
        else:
            await self._line.park()
        try:
            ticket = await self._wait_for_room(message)
        finally:
            if not self._line:
                self._line = None
            elif self._mute:
                self._line.unpark_all()
            else:
                self._line.unpark()
        if ticket is None:
            return False
        await self._wait_until_taken(ticket)
        return True

    async def _wait_for_room(self, message: Message) -> Ticket | None:
        """Wait until a message may be queued now, or behind publications, which gives a ticket."""
        if self._senders is None:
            self._senders = ParkingLot()
        encoded: Any = None
        while True:
            caught_up = self.mailbox is None or self.mailbox.catch_up()
            if self._mute:
                await checkpoint()
                raise self.disconnect()
            if caught_up and not self.crowded:
                return None
            if self.mailbox is not None and not caught_up:
                if encoded is None:
                    encoded = self.wire_format.encode(message)
                ticket = self.mailbox.line_up(encoded)
                if ticket is not None:
                    return ticket
            await self._senders.park()

    async def _wait_until_taken(self, ticket: Ticket | None = None) -> None:
        """Wait until the client has taken what was sent so far; raise WebSocketDisconnect if it never will."""
        if self._senders is None:
            self._senders = ParkingLot()
        if self.behind:
            await self._senders.park()
        while ticket is not None and not ticket.taken and not self._mute:
            await self._senders.park()
        if self.gone or (ticket is not None and not ticket.taken):
            await checkpoint()
            raise self.disconnect()

    # The ASGI triple, for any application that speaks it

    async def asgi_receive(self) -> dict[str, Any]:
        """ASGI's ``receive``: the connect event, the messages, and from then on the disconnect event."""
        if not self._connect_told:
            await checkpoint()  # first: who is cancelled here has not been told
            self._connect_told = True
            return {"type": "websocket.connect"}
        try:
            while not self.accepted and self.close_code is None:
                await self._wait_for_news()
            message = await self.receive()
        except WebSocketDisconnect as end:
            return {"type": "websocket.disconnect", "code": end.code, "reason": end.reason}
        return {"type": "websocket.receive", "text" if isinstance(message, str) else "bytes": message}

    async def asgi_send(self, event: MutableMapping[str, Any]) -> None:
        """ASGI's ``send``. After the end it raises `ClientGone`, the ``OSError`` that the specification asks for."""
        try:
            match event["type"]:
                case "websocket.send":
                    text = event.get("text")
                    data: Message | None = event.get("bytes") if text is None else text
                    if data is None:
                        raise ValueError("a websocket.send event needs text or bytes")
                    await self.send(data)
                case "websocket.accept":
                    headers = event.get("headers") or ()
                    await self.accept(event.get("subprotocol"), headers, event.get(COMPRESSION))
                case "websocket.close":
                    await self.close(event.get("code") or CloseCode.NORMAL_CLOSURE, event.get("reason") or "")
                case "websocket.http.response.start":
                    await self.start_response(event["status"], event.get("headers") or ())
                case "websocket.http.response.body":
                    await self.send_body(event.get("body") or b"", bool(event.get("more_body")))
                case unknown:
                    raise WebSocketStateError(
                        f"a WebSocket application cannot send an event {unknown!r}; for JSON there is send_json"
                    )
        except WebSocketDisconnect as end:
            raise ClientGone(end.code, end.reason) from end
