"""Takes connections in: counts them, and sends each on its path to the application.

Tasks. `Reception.running` keeps the reactor and the upkeep alive, shielded, until the last connection is gone. Inside
it is the nursery of the `AppRunner`, where connections are.

The way of a connection: accept, TLS if the listener is secure, the request head, and then either a `Connection` whose
application runs, or the hand-off to hypercorn. `ReactorPath` goes it without a task up to the end of the head,
`PortablePath` in a task for each.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from hypercorn.config import Config

from ..compression import Deflate
from ..errors import ReportError
from ..limits import Limits
from . import reactor
from .access import log_refusal
from .admission import Admission, Visit, full
from .apprunner import AppRunner
from .containment import log_failure
from .portablepath import PortablePath
from .reactorpath import ReactorPath
from .scope import Peers
from .statistics import ServerStatistics
from .upkeep import Upkeep
from .wire import SEND_SIZE

# How long a client that finds no room may take to read that, and how many may do so at a time.
_LINGER = 1.0
_LINGERING = 32


class Reception:
    """Serves one application to whoever comes.

    Args:
        app: any ASGI application that runs on Trio.
        config: hypercorn's; timeouts and ``root_path`` are read from it.
        limits: the bounds of every connection, and of all of them.
        state: the lifespan's state, copied for each connection.
        tls: the certificate for secure connections, if there are any.
        compression: of messages, where the application does not say.
    """

    def __init__(
        self,
        app: Any,
        config: Config,
        limits: Limits,
        state: dict[str, Any],
        tls: ssl.SSLContext | None = None,
        compression: Deflate | None = None,
    ) -> None:
        self._admission = Admission(limits)
        self._upkeep = Upkeep()
        self._runner = AppRunner(app, config, limits, state, self._upkeep, compression)
        self._portable = PortablePath(self._runner, limits, tls)
        self._reactor = ReactorPath(self._runner, limits, self._upkeep, tls) if reactor.AVAILABLE else None
        self._lingering = 0

    @property
    def busy(self) -> bool:
        """Some handler still runs."""
        return self._runner.busy

    def statistics(self) -> ServerStatistics:
        """Return the numbers as of now."""
        admission = self._admission
        return ServerStatistics(
            open=admission.open,
            websockets=self._runner.websockets,
            accepted=admission.accepted,
            http=admission.http,
            lost=admission.lost,
            refused=dict(admission.refused),
            closed=dict(admission.closed),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        """Give the nursery that connections run in. When the block ends they are cancelled, told, and waited for."""
        background = [self._upkeep.run] if self._reactor is None else [self._upkeep.run, self._reactor.run]
        async with _in_background(*background), self._runner.running() as nursery:
            yield nursery

    async def drain(self, code: int, reason: str) -> None:
        """Take no more WebSockets, close those that are there with this code, and wait for everything that runs."""
        await self._runner.drain(code, reason)

    def take_in(self, sock: socket.socket, peers: Peers) -> None:
        """Serve a socket that was just accepted. Owns it; whatever goes wrong ends only this connection."""
        visit = self._admission.admit(peers)
        try:
            if visit is None:
                log_refusal(peers.client, full())
                self._turn_away(sock, peers.secure)
            elif self._runner.ended:
                _let_go(sock, visit)
            elif self._reactor is None:
                self._portable.take_in(sock, visit)
            else:
                self._reactor.take_in(sock, visit)
        except Exception:  # ours, or the system has no memory for one more
            _let_go(sock, visit)
            log_failure()

    def _turn_away(self, sock: socket.socket, secure: bool) -> None:
        """Say that there is no room, without a look at what the client wants."""
        if secure or self._runner.ended or self._lingering >= _LINGERING:
            sock.close()
            return
        path = self._reactor or self._portable
        path.turn_away(sock, full(), _LINGER, self._turned_away)
        self._lingering += 1  # behind it, in case it raises

    def _turned_away(self) -> None:
        self._lingering -= 1

    async def handle_stream(
        self, stream: Any, peers: Peers, report: ReportError | None = None, *, buffer: int = SEND_SIZE
    ) -> None:
        """Serve a connection over a trio stream, from its request head on. Owns the stream.

        ``report``, if given, is told of errors of the application besides the log.
        """
        visit = self._admission.admit(peers)
        if visit is None:
            await self._portable.refuse(stream, full())
            return
        try:
            await self._portable.serve(stream, visit, report, buffer)
        finally:
            visit.lost()
            visit.leave()


def _let_go(sock: socket.socket, visit: Visit | None) -> None:
    sock.close()
    if visit is not None:
        visit.lost()
        visit.leave()


@asynccontextmanager
async def _in_background(*functions: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run these until the block is left, also while we are being cancelled."""
    scope = trio.CancelScope(shield=True)

    async def run() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                for function in functions:
                    nursery.start_soon(function)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield
        finally:
            scope.cancel()
