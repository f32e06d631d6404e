"""The reactor's path: from a socket that was just accepted to the application, over wires, on systems with epoll.

A connection is a socket in the reactor, then a `HeadReceiver`, and has no task before its request head is whole.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import trio

from ..errors import RequestError
from ..limits import Limits
from .access import log_refusal
from .admission import Visit
from .apprunner import AppRunner
from .drain import stopping
from .head.handshake import Handshake
from .head.reader import Arrival
from .head.receiver import HeadReceiver
from .lingering import LingeringClose
from .reactor import Reactor, SocketWire
from .tls import TLSWire
from .upkeep import Upkeep
from .wire import StartableWire
from .wirestream import WireStream


class ReactorPath:
    """Serves connections with one task that receives for all of them.

    Args:
        runner: runs the application.
        limits: the bounds of a connection.
        upkeep: looks after deadlines.
        tls: the certificate for secure connections, if there are any.
    """

    def __init__(self, runner: AppRunner, limits: Limits, upkeep: Upkeep, tls: ssl.SSLContext | None) -> None:
        self._runner = runner
        self._limits = limits
        self._upkeep = upkeep
        self._tls = tls
        self._reactor = Reactor()
        # Bound once, because every connection keeps them.
        self._on_arrival = self._arrived
        self._on_refusal = self._refuse

    async def run(self) -> None:
        """Receive until cancelled."""
        await self._reactor.run()

    def take_in(self, sock: socket.socket, visit: Visit) -> None:
        """Serve a socket. Owns it from here on, unless this raises."""
        wire = SocketWire(sock, self._reactor)
        self._receive_head(TLSWire(wire, self._tls) if visit.peers.secure and self._tls else wire, visit)

    def turn_away(self, sock: socket.socket, error: RequestError, patience: float, on_gone: Callable[[], None]) -> None:
        """Answer a plain socket with an error, without a look at what its client wants."""
        self._answer(SocketWire(sock, self._reactor), error, patience, on_gone)

    def _receive_head(self, wire: StartableWire, visit: Visit, data: bytes = b"") -> None:
        """Wait for a request head. If the connection was handed back, ``data`` of it has come already."""
        receiver = HeadReceiver(wire, visit, self._limits, self._on_arrival, self._on_refusal, first=not data)
        wire.start(receiver)
        self._upkeep.watch(receiver, trio.current_time() + self._limits.handshake_timeout)
        if data:
            receiver.received(data)

    def _arrived(self, wire: StartableWire, visit: Visit, arrival: Arrival) -> None:
        handshake, runner = arrival.handshake, self._runner
        if runner.ended or (handshake is not None and runner.draining):
            self._refuse(wire, visit, stopping(), handshake)
        elif handshake is None:
            stream = WireStream(wire)  # at once: more may come before the task runs
            runner.start(self._serve_http, wire, stream, arrival.data, visit)
        else:
            scope = runner.make_scope(handshake, visit.peers)
            connection = runner.connect(wire, handshake, scope, arrival.data, visit)
            wire.start(connection)
            runner.start(runner.run, connection, scope)

    def _refuse(
        self, wire: StartableWire, visit: Visit, error: RequestError, handshake: Handshake | None = None
    ) -> None:
        visit.refused(error.status)
        log_refusal(visit.peers.client, error, handshake)
        self._answer(wire, error, self._limits.close_timeout, visit.leave)

    def _answer(self, wire: StartableWire, error: RequestError, patience: float, on_gone: Callable[[], None]) -> None:
        goodbye = LingeringClose(wire, on_gone)
        goodbye.answer(error)
        self._upkeep.watch(goodbye, trio.current_time() + patience)

    async def _serve_http(self, wire: StartableWire, stream: WireStream, data: bytes, visit: Visit) -> None:
        ours = True

        async def go_on(returned: bytes) -> None:
            nonlocal ours
            ours = False
            self._receive_head(wire, visit, returned + stream.release())

        try:
            await self._runner.serve_http(stream, data, visit, go_on)
        finally:
            if ours:
                visit.leave()
