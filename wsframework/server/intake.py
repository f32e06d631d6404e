"""How the bytes of a client come in: to messages in a bounded inbox, in turns, and no faster than it may send.

A client can put thousands of frames into one read, or inflate a little of it to a lot. What comes in is therefore taken
in turns: `FrameReader` stops, the wire is held, and the rest has its turn in a later tick, when the inbox has room. A
client that leaves meanwhile is gone when the rest is read, because its close frame may be in there.

What is not read is held back: the wire is asked to hold while the inbox is full, while a rest has to wait for its turn,
and while the client is in debt for what it has sent. TCP then slows the client down.
"""

from __future__ import annotations

from abc import abstractmethod

import trio
from trio.lowlevel import reschedule

from ..close import CloseCode
from ..limits import Limits
from ..waking import WOKEN
from .framereader import FrameReader
from .sender import Sender
from .throttle import Debt, Throttle
from .upkeep import Upkeep
from .wire import Wire

_SHORT_FRAME = 6 + 125  # the largest that has a short header


class Intake(Sender):
    """The part of a connection that reads. Implements what the upkeep has read on.

    Args:
        early: bytes that came behind the request head; they are read after ``accept``.

    Attributes:
        messages_in: messages received.
        bytes_in: bytes of frames of all kinds, as they came on the wire.
    """

    __slots__ = (
        "_before_inbox",
        "_direct",
        "_early",
        "_hung_up",
        "_in_debt",
        "_leaving",
        "_reader",
        "_reading_on",
        "_throttle",
        "bytes_in",
        "messages_in",
    )

    def __init__(self, wire: Wire, limits: Limits, upkeep: Upkeep, early: bytes) -> None:
        super().__init__(wire, limits, upkeep)
        self._early = early
        self._reader = FrameReader(limits.message, limits.fragments, limits.inbox_bytes)
        self._reading_on = False  # asked the upkeep for a turn
        self._before_inbox = 0  # bytes that had been read and inflated when the inbox was last empty
        self._direct = False  # one short message may go straight to the task that waits for it
        self._hung_up = False
        self._leaving = ""  # why the connection is over when what has come is read; empty while it is not
        self._throttle: Throttle | None = None
        self._in_debt = False  # and not read from for that reason
        self.messages_in: int = 0
        self.bytes_in: int = 0

    @abstractmethod
    def _control(self, event: object) -> None:
        """Do about a control frame, or a violation, what it asks for."""

    @abstractmethod
    def _lose(self, reason: str) -> None:
        """The connection is over at once."""

    def _begin_reading(self, now: float) -> None:
        """The handshake is done: what has come behind it are frames."""
        limits = self._limits
        self._throttle = Throttle.of(limits, now)
        self._direct = self._throttle is None and limits.inbox_messages > 1 and limits.inbox_bytes > _SHORT_FRAME
        self._wake_receiver()
        self._read_on()
        early, self._early = self._early, b""
        if early:
            self.received(early)

    def _stop_reading(self) -> None:
        self._reader.end()  # the sweeper may remember us for a while: keep nothing large
        self._early = b""

    def received(self, data: bytes) -> None:
        """Take in what the socket gave; empty means the client has closed its side or is gone."""
        if not data:
            self._hear_end("the client left without a close frame")
            return
        self._keepalive.heard = True
        receiver = self._receiver
        if receiver is not None and self._direct and not self._gathered:
            message = self._reader.feed_one(data)
            if message is not None:
                self._before_inbox = self.bytes_in + self._reader.inflated
                self.bytes_in += len(data)
                self.messages_in += 1
                self._inbox.append(message)
                self._receiver = None
                reschedule(receiver, WOKEN)
                return
        if self.accepted:
            self._take_in(data)
        else:
            self._keep_early(data)

    def _take_in(self, data: bytes) -> None:
        """Handle what came, or the first of it, and see to it that the rest has its turn."""
        inbox, reader = self._inbox, self._reader
        if not inbox:
            self._before_inbox = self.bytes_in + reader.inflated
        self.bytes_in += len(data)
        events = reader.feed(data)
        for event in events:
            if type(event) is not str and type(event) is not bytes:
                self._control(event)
            elif not self._mute:
                self.messages_in += 1
                inbox.append(event)
        if inbox:
            self._wake_receiver()
        if self._gathered:
            self.flush()
        if self._throttle is not None:
            self._pay(self._throttle, len(events), len(data))
        if self._is_full(self._limits.inbox_messages):
            self._hold()
        elif reader.behind:
            self._hold()
            self._read_on()
        if self._hung_up:
            self.hung_up()  # now, perhaps, it does not go on by itself any more

    def read_on(self) -> None:
        """The upkeep's call: take in more of what has come."""
        self._reading_on = False
        if not self.gone and not self._in_debt:
            self._take_in(b"")
            self._make_room()

    def _pay(self, throttle: Throttle, messages: int, size: int) -> None:
        """Charge the client for what it sent, and read no more from one that is in debt."""
        now = trio.current_time()
        if throttle.spend(messages, size, now) and self.close_code is None:
            self._in_debt = True
            self._hold()
            self._look_at_debt(throttle, now)
            self._upkeep.watch(self, throttle.next_look)

    def _look_at_debt(self, throttle: Throttle, now: float) -> None:
        match throttle.look(now):
            case Debt.PAID:
                self._in_debt = False
                self._make_room()
            case Debt.TOO_LONG:
                self.cut_off(CloseCode.POLICY_VIOLATION, "too fast: this client sends more than it may")

    def hung_up(self) -> None:
        """The client is gone, and what it sent before still waits, here or behind a wire that is held."""
        self._hung_up = True
        if self.close_code is None and not self._reading_on:
            self._tell_session(False)

    def _hear_end(self, reason: str) -> None:
        """The client sends no more. Most often that means that it is gone."""
        self._left(reason)

    def _left(self, reason: str) -> None:
        """The client is gone, once what came from it has been read."""
        if self._reader.behind:
            self._leaving = reason
            self.hung_up()
        else:
            self._lose(reason)

    def _keep_early(self, data: bytes) -> None:
        """Before ``accept``, keep what comes; a refused client has nothing to say any more."""
        if not self._mute:
            self._early += data
            if len(self._early) >= self._limits.request_head:
                self._hold()

    # Room

    def _is_full(self, messages: int) -> bool:
        """The inbox has so many messages, or more bytes than it should. When we are mute nothing is put there."""
        if not self._inbox or self._mute:
            return False
        waiting = self.bytes_in + self._reader.inflated - self._before_inbox
        return len(self._inbox) >= messages or waiting >= self._limits.inbox_bytes

    def _hold(self) -> None:
        if not self._held:
            self._held = True
            self._wire.hold()

    def _make_room(self) -> None:
        # Not before half of it is free: to hold and to resume costs two system calls.
        if not self._is_full(self._limits.inbox_messages // 2 + 1):
            self._read_on()

    def _read_on(self) -> None:
        """Let more come in: of the rest, if there is one, in a later tick, or from the wire."""
        if not self._held or self._in_debt:
            return
        if not self._reader.behind:
            if self._leaving:
                self._hear_end(self._leaving)
            else:
                self._held = False
                self._wire.resume()
        elif not self._reading_on:
            self._reading_on = True
            self._upkeep.read_on_soon(self)
