"""One task that receives for every connection, with TLS and without, where the system has epoll (Linux).

A reader task per connection costs a task switch and an ``epoll_ctl`` per message; this costs neither. It also means
that the server is always reading for everybody, up to the bound of each inbox, so a client that leaves is noticed while
its endpoint is busy.

How it waits. All sockets are in one epoll set, and the set is itself a descriptor that trio can wait for. Events are
level-triggered: what is not handled in this turn shows up again in the next. A connection reads once per turn, so
that a client that never stops sending does not keep the others waiting.

When it reads. A task that is woken for the set would read a scheduler tick later, and the endpoint it wakes would run
yet another tick later. So an instrument reads, which trio calls right after it has waited, before it runs tasks: a
message is answered in the tick that it came in. The task is there for trio to wake up. An instrument is in no task:
what is called from here must not ask for the current one.
"""

from __future__ import annotations

import select
import socket
import sys
from contextlib import suppress

import trio

from .containment import let_go
from .wire import RECEIVE_SIZE, Receiver

AVAILABLE = sys.platform == "linux"
_TURN = 512  # events in one turn

# Bytes of a read from a client that sends little. Python allocates up to 512 by itself, of which 33 are its own, and
# asks malloc for more, which takes longer (Objects/obmalloc.c).
_LITTLE = 512 - 33
_LAST_READS = 4  # of a client that has hung up behind a full inbox

if AVAILABLE:
    _IN = select.EPOLLIN
    _READ = _IN | select.EPOLLRDHUP
    _WRITE = select.EPOLLOUT


class Reactor(trio.abc.Instrument):
    """Receives for the sockets that are attached to it, for as long as `run` runs."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wires: dict[int, SocketWire] = {}

    def attach(self, wire: SocketWire, mask: int) -> None:
        self._epoll.register(wire.fd, mask)
        self._wires[wire.fd] = wire

    def change(self, wire: SocketWire, mask: int) -> None:
        self._epoll.modify(wire.fd, mask)

    def detach(self, wire: SocketWire) -> None:
        if self._wires.get(wire.fd) is wire:  # and not one that has got the same descriptor since
            del self._wires[wire.fd]
            self._epoll.unregister(wire.fd)

    async def run(self) -> None:
        """Receive until cancelled, then let go of every socket that is left."""
        trio.lowlevel.add_instrument(self)
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
        finally:
            with suppress(KeyError):  # trio has removed it, which it does with an instrument that raises
                trio.lowlevel.remove_instrument(self)
            for wire in list(self._wires.values()):
                wire.give_up()
            self._epoll.close()

    def after_io_wait(self, timeout: float) -> None:
        """Trio's call, before it runs tasks: handle what is ready. Nothing is raised; it would end the instrument."""
        for fd, mask in self._epoll.poll(0, _TURN):
            wire = self._wires.get(fd)
            if wire is not None:
                wire.ready(mask)


class SocketWire:
    """A plain TCP or Unix socket in a reactor. It owns the socket."""

    __slots__ = ("_ask_for", "_attached", "_held", "_mask", "_reactor", "_receiver", "_socket", "fd")

    behind = False

    def __init__(self, sock: socket.socket, reactor: Reactor) -> None:
        self._socket = sock
        self._reactor = reactor
        self._mask = _READ
        self._attached = False
        self._held = False
        self._ask_for = _LITTLE
        self.fd: int = sock.fileno()

    def start(self, receiver: Receiver) -> None:
        """Receive for this one from now on."""
        self._receiver = receiver
        if not self._attached:
            self._attached = True
            self._reactor.attach(self, self._mask)

    def ready(self, mask: int) -> None:
        """The reactor's call: the socket can be read or written. Whatever goes wrong stays inside."""
        try:
            if mask == _IN and not self._held:  # nearly always
                self._receive()
                return
            if mask & _WRITE:
                self._set_mask(self._mask & ~_WRITE)
                self._receiver.writable()
            if mask & ~_WRITE and self.fd >= 0:
                if self._held:
                    self._take_last_words()
                    self._ignore(mask)
                    self._receiver.hung_up()
                else:
                    self._receive()
        except Exception:
            let_go(self._receiver)
            self.close()  # if that has not

    def give_up(self) -> None:
        """The reactor ends: let whoever receives from this come to an end as well."""
        with suppress(Exception):
            self._receiver.abandon()
        self.close()

    def _take_last_words(self) -> None:
        """Read on although the wire is held: no more will come than this, and it may end with a close frame.

        What goes beyond a few reads waits until there is room; the system's buffer may hold megabytes.
        """
        for _ in range(_LAST_READS):
            try:
                data = self._socket.recv(RECEIVE_SIZE)
            except OSError:
                return
            if not data:
                return  # to be told when there is room
            self._receiver.received(data)
            if self.fd < 0:
                return

    def _ignore(self, mask: int) -> None:
        """Hear no more of a hang-up, which is level-triggered, and which we cannot read away before there is room."""
        if mask & (select.EPOLLHUP | select.EPOLLERR):
            self._detach()  # these are told whether one asks for them or not
        else:
            self._set_mask(self._mask & ~_READ)  # the client has ended its own side only, and still takes bytes

    def _receive(self) -> None:
        try:
            data = self._socket.recv(self._ask_for)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if len(data) >= _LITTLE or self._ask_for != _LITTLE:
            data = self._adapt(data)
        self._receiver.received(data)

    def _adapt(self, data: bytes) -> bytes:
        """Ask for what this client tends to send; take the rest of what has come already."""
        if len(data) < _LITTLE:
            self._ask_for = _LITTLE
        elif self._ask_for == _LITTLE:
            self._ask_for = RECEIVE_SIZE
            with suppress(OSError):  # if that is no BlockingIOError, the next one says it
                data += self._socket.recv(RECEIVE_SIZE - _LITTLE)
        return data

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def ask_to_write(self) -> None:
        self._set_mask(self._mask | _WRITE)

    def hold(self) -> None:
        self._held = True
        self._set_mask(self._mask & ~select.EPOLLIN)

    def resume(self) -> None:
        self._held = False
        self._set_mask(self._mask | _READ)

    def shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._receiver.received(b"")

    def close(self) -> None:
        if self.fd >= 0:
            self._detach()
            self.fd = -1
            self._socket.close()

    def _set_mask(self, mask: int) -> None:
        if self.fd < 0:
            return
        if not self._attached:
            self._attached = True
            self._reactor.attach(self, mask)
        elif mask != self._mask:
            self._reactor.change(self, mask)
        self._mask = mask

    def _detach(self) -> None:
        if self._attached:
            self._attached = False
            self._reactor.detach(self)
